"""Label scores: what scoring returns, what an item of a record holds, and what they become."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

INVALID = -1
"""In the place of a label's index: an answer that names no label."""


@dataclass(frozen=True)
class LabelScores:
    """Log-probability of every label of every row, `S(y|x)` = sum over the label's tokens (and the end-of-turn).

    log_probs: [N, L] float64. token_counts: [N, L], without the end-of-turn.
    """

    log_probs: NDArray[np.float64]
    token_counts: NDArray[np.int64]


def probabilities(log_scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the label set. log_scores: [N, L]."""
    shifted = log_scores - log_scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def log_softmax(log_scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalised log-probabilities over the label set. log_scores: [N, L]."""
    shifted = log_scores - log_scores.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def log_probs_of(item: Mapping[str, Any]) -> NDArray[np.float64]:
    """The raw scores [L] in an item of a test row or of a support input."""
    return np.array([-math.inf if score is None else score for score in item["scores"]], dtype=np.float64)

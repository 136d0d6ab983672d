"""What label scoring returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

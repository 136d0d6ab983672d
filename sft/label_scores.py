"""Label scores: what scoring returns, what an item of a record holds, and what they become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

INVALID = -1
"""In the place of a label's index: an answer that names no label."""


@dataclass(frozen=True)
class LabelScores:
    """Log-probability of every label of every row, `S(y|x)` = sum over the label's tokens (and the end-of-turn).

    log_probs: [N, L] float64. token_counts: [N, L], without the end-of-turn. Where rows have different numbers of
    candidates, L is the largest; what a row lacks comes last, with minus infinity and 0 tokens.
    """

    log_probs: NDArray[np.float64]
    token_counts: NDArray[np.int64]

    def row(self, i: int) -> RowScores:
        n = int(np.count_nonzero(self.token_counts[i]))
        return RowScores(self.log_probs[i, :n], self.token_counts[i, :n])


class RowScores(NamedTuple):
    """The scores of one row: log_probs and token_counts [L], of the labels that the row has."""

    log_probs: NDArray[np.float64]
    token_counts: NDArray[np.int64]


def stacked(rows: Sequence[RowScores], width: int = 0) -> LabelScores:
    """[N, L], filled up where rows have fewer labels than others, or than `width`."""
    widest = max((len(row.log_probs) for row in rows), default=0)
    shape = (len(rows), max(widest, width))
    scores = LabelScores(np.full(shape, -math.inf), np.zeros(shape, dtype=np.int64))
    for i, row in enumerate(rows):
        scores.log_probs[i, : len(row.log_probs)] = row.log_probs
        scores.token_counts[i, : len(row.token_counts)] = row.token_counts
    return scores


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


def shown_probabilities(row: NDArray[np.float64]) -> list[float]:
    """The probabilities of one row, in the precision that items have."""
    return [round(float(p), 6) for p in row]

"""Normalising scores of rows that have candidates of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sft.calibration.base import Scores
from sft.calibration.normalization.base import Normalization, Reference
from sft.label_scores import LabelScores

_NOTHING = LabelScores(np.empty((0, 0)), np.empty((0, 0), dtype=np.int64))


def normalize_rows(
    normalization: Normalization, scores: LabelScores, candidates: Sequence[tuple[str, ...]], premise: LabelScores
) -> Scores:
    """Each row by its own candidates, as if they were the labels of a task of one row.

    scores: [N, L]. candidates: [N]. premise: [N, L], or empty for a normalisation that needs none. What a row lacks
    stays minus infinity.
    """
    result: Scores = np.full(scores.log_probs.shape, -np.inf)
    for i, texts in enumerate(candidates):
        reference = Reference(texts, _row(premise, i, len(texts)), _NOTHING)
        result[i, : len(texts)] = normalization.normalize(_row(scores, i, len(texts)), reference)[0]
    return result


def _row(scores: LabelScores, i: int, n: int) -> LabelScores:
    """[1, n], or [0, n] where there is no row i."""
    return LabelScores(scores.log_probs[i : i + 1, :n], scores.token_counts[i : i + 1, :n])

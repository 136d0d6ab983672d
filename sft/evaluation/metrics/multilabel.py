"""Metrics of predicted sets of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.label_counts import Floats, label_set_counts, split_counts, table
from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import MultilabelOutcome
from sft.evaluation.row_sums import RowSums, mean_over_rows, whole


def _all_right(outcome: MultilabelOutcome) -> Floats:
    wrong: NDArray[np.bool_] = outcome.references ^ outcome.predictions
    return np.where(wrong.any(axis=1, keepdims=True), 0.0, 1.0)


_SUBSET_ACCURACY = mean_over_rows("subset_accuracy", _all_right)


@metric("subset_accuracy", task_type="multilabel", default=True, row_sums=_SUBSET_ACCURACY)
def subset_accuracy(outcome: MultilabelOutcome) -> dict[str, Any]:
    """The share of rows of which every label is right."""
    return whole(_SUBSET_ACCURACY, outcome)


def _f1(sums: Floats, rows: int) -> dict[str, Floats]:
    counts = split_counts(sums)
    both = counts.support.sum(axis=0) + counts.predicted.sum(axis=0)
    return {"micro_f1": 2 * counts.hits.sum(axis=0) / np.maximum(both, 1), "macro_f1": counts.f1.mean(axis=0)}


_F1 = RowSums(label_set_counts, _f1)


@metric("multilabel_f1", task_type="multilabel", default=True, row_sums=_F1)
def multilabel_f1(outcome: MultilabelOutcome) -> dict[str, Any]:
    """`micro_f1`, of the counts summed over labels, and `macro_f1`, the mean over all labels of the task.

    A label that is neither referred to nor predicted counts as 0, so that the number of terms is the same for every
    test subset.
    """
    return whole(_F1, outcome)


def _overlap(outcome: MultilabelOutcome) -> Floats:
    both = (outcome.references & outcome.predictions).sum(axis=1, keepdims=True)
    either = (outcome.references | outcome.predictions).sum(axis=1, keepdims=True)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


_JACCARD = mean_over_rows("jaccard", _overlap)


@metric("jaccard", task_type="multilabel", default=True, row_sums=_JACCARD)
def jaccard(outcome: MultilabelOutcome) -> dict[str, Any]:
    """The mean over rows of shared labels / labels of either set; 1 for a row without labels that is given none."""
    return whole(_JACCARD, outcome)


def _ranking_precision(outcome: MultilabelOutcome) -> Floats | None:
    if outcome.log_odds is None:
        return None
    rows = zip(outcome.log_odds, outcome.references, strict=True)
    return np.array([[_row_ranking_precision(odds, referred)] for odds, referred in rows])


def _row_ranking_precision(log_odds: Floats, referred: Any) -> float:
    if not referred.any():
        return 1.0
    not_below = log_odds[None, :] >= log_odds[referred, None]
    return float((not_below[:, referred].sum(axis=1) / not_below.sum(axis=1)).mean())


_LRAP = mean_over_rows("lrap", _ranking_precision)


@metric("lrap", task_type="multilabel", default=True, row_sums=_LRAP)
def lrap(outcome: MultilabelOutcome) -> dict[str, Any]:
    """Label ranking average precision (Schapire and Singer 2000): of each label of a row, how many of the labels ranked
    as high or higher are the row's; the mean over its labels, then over rows. 1 for rows with no label or with all.

    Absent where there are no probabilities.
    """
    return whole(_LRAP, outcome)


@metric("per_label", task_type="multilabel", default=True)
def per_label(outcome: MultilabelOutcome) -> dict[str, Any]:
    """A table of precision, recall, F1 and support (rows that have it), one row per label in the task's order.

    What is undefined is 0: the precision of a label that is never predicted, the recall of one that no row has.
    """
    counts = split_counts(label_set_counts(outcome).sum(axis=0, dtype=np.float64))
    return {"per_label": table(counts, outcome.labels)}

"""Metrics of predicted labels, beside accuracy.

All but the confusion matrix are read off counts per label, which can be summed over resampled rows too. A prediction of
-1 (a generated answer that names no label) is wrong for every metric: it counts in the support of its reference and is
a hit of no label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.label_counts import Floats, LabelCounts, label_counts, split_counts, table
from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import ClassificationOutcome
from sft.evaluation.row_sums import RowSums, whole


def _balanced_accuracy(sums: Floats, rows: int) -> dict[str, Floats]:
    counts = split_counts(sums)
    return {"balanced_accuracy": counts.recall.sum(axis=0) / (counts.support > 0).sum(axis=0)}


_BALANCED_ACCURACY = RowSums(label_counts, _balanced_accuracy)


@metric("balanced_accuracy", task_type="classification", default=True, row_sums=_BALANCED_ACCURACY)
def balanced_accuracy(outcome: ClassificationOutcome) -> dict[str, Any]:
    """The mean recall of the labels that occur in the references; others have no recall and are left out."""
    return whole(_BALANCED_ACCURACY, outcome)


def _f1(sums: Floats, rows: int) -> dict[str, Floats]:
    counts = split_counts(sums)
    of_labels = counts.f1
    return {
        "macro_f1": of_labels.mean(axis=0),
        "micro_f1": 2 * counts.hits.sum(axis=0) / (rows + counts.predicted.sum(axis=0)),
        "weighted_f1": (of_labels * counts.support).sum(axis=0) / rows,
    }


_F1 = RowSums(label_counts, _f1)


@metric("f1", task_type="classification", default=True, row_sums=_F1)
def f1(outcome: ClassificationOutcome) -> dict[str, Any]:
    """`macro_f1`, `micro_f1` and `weighted_f1` over all labels of the task.

    macro: mean of the labels' F1, where a label that is neither referred to nor predicted counts as 0, so that the
    number of terms is the same for every test subset. weighted: mean weighted by support. micro: F1 of the summed
    counts; it equals accuracy unless answers are invalid, which miss a label (recall) and name none (precision).
    """
    return whole(_F1, outcome)


@metric("per_class", task_type="classification", default=True)
def per_class(outcome: ClassificationOutcome) -> dict[str, Any]:
    """A table of precision, recall, F1 and support (rows with that reference), one row per label in the task's order.

    What is undefined is 0: the precision of a label that is never predicted, the recall of one without references.
    """
    counts: LabelCounts = split_counts(label_counts(outcome).sum(axis=0, dtype=np.float64))
    return {"per_class": table(counts, outcome.labels)}


def _mcc(sums: Floats, rows: int) -> dict[str, Floats]:
    counts = split_counts(sums)
    invalid = rows - counts.predicted.sum(axis=0)
    covariance = counts.hits.sum(axis=0) * rows - (counts.support * counts.predicted).sum(axis=0)
    predicted_twice = np.square(counts.predicted).sum(axis=0) + np.square(invalid)
    spread = (rows**2 - np.square(counts.support).sum(axis=0)) * (rows**2 - predicted_twice)
    return {"mcc": np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)}


_MCC = RowSums(label_counts, _mcc)


@metric("mcc", task_type="classification", default=True, row_sums=_MCC)
def mcc(outcome: ClassificationOutcome) -> dict[str, Any]:
    """Matthews' correlation coefficient for any number of labels, from -1 to 1 (R_K of Gorodkin 2004).

    Invalid answers are a predicted class of their own. 0 where references or predictions are all the same.
    """
    return whole(_MCC, outcome)


@metric("confusion_matrix", task_type="classification", default=True)
def confusion_matrix(outcome: ClassificationOutcome) -> dict[str, Any]:
    """Counts by reference (rows) and prediction (columns), labels in the task's order.

    Invalid answers are in no column: a row sums to its label's support less those.
    """
    counts: NDArray[np.int64] = np.zeros((len(outcome.labels), len(outcome.labels) + 1), dtype=np.int64)
    np.add.at(counts, (outcome.references, outcome.predictions), 1)  # the last column is also index -1
    return {"confusion_matrix": counts[:, :-1].tolist()}


def _invalid_rate(sums: Floats, rows: int) -> dict[str, Floats]:
    return {"invalid_rate": 1 - split_counts(sums).predicted.sum(axis=0) / rows}


@metric(
    "invalid_rate",
    task_type="classification",
    default=True,
    row_sums=RowSums(label_counts, _invalid_rate),
    lower_is_better=True,
)
def invalid_rate(outcome: ClassificationOutcome) -> dict[str, Any]:
    """The share of answers that name no label; nothing for a run that scores labels, where it can't be but 0."""
    invalid = outcome.predictions == -1
    if outcome.probabilities is not None and not invalid.any():
        return {}
    return {"invalid_rate": float(invalid.mean())}

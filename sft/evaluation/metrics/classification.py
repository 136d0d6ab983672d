"""Metrics of predicted labels.

All are read off one table of counts. A prediction of -1 (a generated answer that names no label) is wrong for every
metric: it counts in the support of its reference and is a hit of no label.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import ClassificationOutcome


@metric("accuracy", task_type="classification", default=True)
def accuracy(outcome: ClassificationOutcome) -> dict[str, Any]:
    """The share of rows whose prediction is the reference."""
    return {"accuracy": float(np.mean(outcome.predictions == outcome.references))}


@metric("balanced_accuracy", task_type="classification", default=True)
def balanced_accuracy(outcome: ClassificationOutcome) -> dict[str, Any]:
    """The mean recall of the labels that occur in the references; others have no recall and are left out."""
    scores = _label_scores(outcome)
    return {"balanced_accuracy": float(scores.recall[scores.support > 0].mean())}


@metric("f1", task_type="classification", default=True)
def f1(outcome: ClassificationOutcome) -> dict[str, Any]:
    """`macro_f1`, `micro_f1` and `weighted_f1` over all labels of the task.

    macro: mean of the labels' F1, where a label that is neither referred to nor predicted counts as 0, so that the
    number of terms is the same for every test subset. weighted: mean weighted by support. micro: F1 of the summed
    counts; it equals accuracy unless answers are invalid, which miss a label (recall) and name none (precision).
    """
    scores = _label_scores(outcome)
    counts = _counts(outcome)
    hits, rows, valid = np.trace(counts), counts.sum(), counts[:, :-1].sum()
    return {
        "macro_f1": float(scores.f1.mean()),
        "micro_f1": float(2 * hits / (rows + valid)),
        "weighted_f1": float(np.average(scores.f1, weights=scores.support)),
    }


@metric("per_class", task_type="classification", default=True)
def per_class(outcome: ClassificationOutcome) -> dict[str, Any]:
    """A table of precision, recall, F1 and support (rows with that reference), one row per label in the task's order.

    What is undefined is 0: the precision of a label that is never predicted, the recall of one without references.
    """
    scores = _label_scores(outcome)
    return {
        "per_class": [
            {
                "label": label,
                "precision": float(scores.precision[i]),
                "recall": float(scores.recall[i]),
                "f1": float(scores.f1[i]),
                "support": int(scores.support[i]),
            }
            for i, label in enumerate(outcome.labels)
        ]
    }


@metric("mcc", task_type="classification", default=True)
def mcc(outcome: ClassificationOutcome) -> dict[str, Any]:
    """Matthews' correlation coefficient for any number of labels, from -1 to 1 (R_K of Gorodkin 2004).

    Invalid answers are a predicted class of their own. 0 where references or predictions are all the same.
    """
    counts = _counts(outcome).astype(np.float64)
    rows = counts.sum()
    referred, predicted = np.append(counts.sum(axis=1), 0.0), counts.sum(axis=0)
    covariance = np.trace(counts) * rows - referred @ predicted
    spread = (rows**2 - referred @ referred) * (rows**2 - predicted @ predicted)
    return {"mcc": float(covariance / np.sqrt(spread)) if spread > 0 else 0.0}


@metric("confusion_matrix", task_type="classification", default=True)
def confusion_matrix(outcome: ClassificationOutcome) -> dict[str, Any]:
    """Counts by reference (rows) and prediction (columns), labels in the task's order.

    Invalid answers are in no column: a row sums to its label's support less those.
    """
    return {"confusion_matrix": _counts(outcome)[:, :-1].tolist()}


@metric("invalid_rate", task_type="classification", default=True)
def invalid_rate(outcome: ClassificationOutcome) -> dict[str, Any]:
    """The share of answers that name no label; nothing for a run that scores labels, where it can't be but 0."""
    invalid = outcome.predictions == -1
    if outcome.probabilities is not None and not invalid.any():
        return {}
    return {"invalid_rate": float(invalid.mean())}


class _LabelScores(NamedTuple):
    """Per label, each [L]."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def _label_scores(outcome: ClassificationOutcome) -> _LabelScores:
    counts = _counts(outcome)
    hits, support, predicted = counts.diagonal(), counts.sum(axis=1), counts[:, :-1].sum(axis=0)
    return _LabelScores(
        precision=_share(hits, predicted),
        recall=_share(hits, support),
        f1=_share(2 * hits, support + predicted),
        support=support,
    )


def _counts(outcome: ClassificationOutcome) -> NDArray[np.int64]:
    """[L, L + 1] rows by reference and prediction; the last column, which is also index -1, holds invalid answers."""
    counts = np.zeros((len(outcome.labels), len(outcome.labels) + 1), dtype=np.int64)
    np.add.at(counts, (outcome.references, outcome.predictions), 1)
    return counts


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """part / whole, and 0 where whole is 0 (part is 0 there too)."""
    return part / np.maximum(whole, 1)

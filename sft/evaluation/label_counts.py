"""The counts per label from which every metric of predicted labels but the confusion matrix follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.outcome import ClassificationOutcome, MultilabelOutcome

Floats = NDArray[np.float64]


class LabelCounts(NamedTuple):
    """Rows per label, each [L, ...]: rightly predicted, predicted, and referred to (support).

    Invalid answers are predicted of no label, so `predicted` may sum to less than `support` does.
    """

    hits: Floats
    predicted: Floats
    support: Floats

    @property
    def precision(self) -> Floats:
        return _share(self.hits, self.predicted)

    @property
    def recall(self) -> Floats:
        return _share(self.hits, self.support)

    @property
    def f1(self) -> Floats:
        return _share(2 * self.hits, self.support + self.predicted)


def label_counts(outcome: ClassificationOutcome) -> NDArray[np.float32]:
    """[N, 3 L] ones and zeros: what each row adds to the counts, in the order of `LabelCounts`."""
    labels = np.arange(len(outcome.labels))
    referred = outcome.references[:, None] == labels
    predicted = outcome.predictions[:, None] == labels
    return np.concatenate([referred & predicted, predicted, referred], axis=1).astype(np.float32)


def label_set_counts(outcome: MultilabelOutcome) -> NDArray[np.float32]:
    """Like `label_counts`, of rows with any number of labels."""
    referred, predicted = outcome.references, outcome.predictions
    return np.concatenate([referred & predicted, predicted, referred], axis=1).astype(np.float32)


def split_counts(sums: NDArray[Any]) -> LabelCounts:
    """[3 L, ...] sums of `label_counts` (or `label_set_counts`) over rows, by kind."""
    hits, predicted, support = np.split(np.asarray(sums, dtype=np.float64), 3)
    return LabelCounts(hits, predicted, support)


def table(counts: LabelCounts, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each label, in order. counts: [L]."""
    return [
        {
            "label": label,
            "precision": float(counts.precision[i]),
            "recall": float(counts.recall[i]),
            "f1": float(counts.f1[i]),
            "support": int(counts.support[i]),
        }
        for i, label in enumerate(labels)
    ]


def _share(part: Floats, of_all: Floats) -> Floats:
    """part / of_all, and 0 where that is 0 (part is 0 there too)."""
    return part / np.maximum(of_all, 1)

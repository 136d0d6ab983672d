"""Which labels are taken for which: counts, and shares of each reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.reporting.html.run_sections.base import FEW_LABELS, Section, ShownRun, run_section

SHOWN_LABELS = 25
_PAIRS = 15


class Cell(NamedTuple):
    """share: of the reference's rows, which is 0 where it has none."""

    rows: int
    share: float
    right: bool


@run_section("confusion", place=20, title="Confusion matrix")
def confusion(run: ShownRun) -> Section | str:
    matrix, labels = run.record.results.get("confusion_matrix"), run.record.data.get("labels")
    if matrix is None or not labels:
        return "its results have none"
    counts = np.array(matrix, dtype=np.int64)
    support = _support(run, counts)
    shown = _most_confused(counts, support)
    nothing = support - counts.sum(axis=1)
    others = counts.sum(axis=1) - counts[:, shown].sum(axis=1)
    values = {
        "labels": [labels[i] for i in shown],
        "rows": [_row(i, counts, support, shown) for i in shown],
        "others": [int(others[i]) for i in shown] if len(shown) < len(labels) else None,
        "unnamed": [int(nothing[i]) for i in shown] if nothing.any() else None,
        "support": [int(support[i]) for i in shown],
        "left_out": len(labels) - len(shown),
        "pairs": _pairs(counts, labels),
    }
    return Section("Confusion matrix", values, wide=len(labels) > FEW_LABELS)


def _support(run: ShownRun, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of each reference, those with invalid answers among them."""
    per_class = run.record.results.get("per_class")
    return np.array([row["support"] for row in per_class]) if per_class else counts.sum(axis=1)


def _most_confused(counts: NDArray[np.int64], support: NDArray[np.int64]) -> list[int]:
    """All labels, or where they are too many for a table those with the most errors, in the order of the task."""
    missed, wrongly = support - counts.diagonal(), counts.sum(axis=0) - counts.diagonal()
    order = np.argsort(-(missed + wrongly), kind="stable")
    return sorted(order[:SHOWN_LABELS].tolist())


def _row(i: int, counts: NDArray[np.int64], support: NDArray[np.int64], shown: Sequence[int]) -> list[Cell]:
    return [Cell(int(counts[i, j]), float(counts[i, j] / max(1, support[i])), i == j) for j in shown]


def _pairs(counts: NDArray[np.int64], labels: Sequence[str]) -> list[tuple[str, str, int]]:
    """The commonest confusions: reference, prediction, rows."""
    wrong: NDArray[Any] = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    found = [divmod(int(place), len(labels)) for place in order]
    return [(labels[i], labels[j], int(wrong[i, j])) for i, j in found if wrong[i, j]]

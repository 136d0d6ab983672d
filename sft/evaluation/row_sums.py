"""Metrics that follow from sums over rows: only those can be computed anew for resampled rows, thousands of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RowFunction = Callable[..., NDArray[Any] | None]
ResultFunction = Callable[[Floats, int], dict[str, Floats]]


@dataclass(frozen=True)
class RowSums:
    """How results follow from sums over rows.

    of_rows: (outcome, **arguments) → [N, K], what each row adds to K sums; None where the outcome lacks what is needed.
    Metrics with one `of_rows` share its sums. results: ([K, ...] sums, N) → results by name, each [...]; with the sums
    over all rows they are the metric's own results.
    """

    of_rows: RowFunction
    results: ResultFunction


def mean_over_rows(name: str, of_rows: RowFunction) -> RowSums:
    """The form of a metric that is a mean over rows; of_rows gives [N, 1]."""
    return RowSums(of_rows, lambda sums, rows: {name: sums[0] / rows})


def whole(form: RowSums, outcome: Any, **arguments: Any) -> dict[str, float]:
    """The results for all rows once; nothing where the outcome lacks what is needed."""
    values = form.of_rows(outcome, **arguments)
    if values is None:
        return {}
    return {
        name: float(value) for name, value in form.results(values.sum(axis=0, dtype=np.float64), len(values)).items()
    }

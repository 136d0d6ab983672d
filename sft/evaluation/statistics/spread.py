"""A number over seeds: mean, standard deviation, median, quartiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sft.evaluation.statistics.quantiles import quantiles

FEW = 5


@dataclass(frozen=True)
class Spread:
    """sd: sample standard deviation (n - 1), None for a single value. q25, q75: quartiles, linearly interpolated (type
    7 of Hyndman & Fan 1996); their difference is the interquartile range.
    """

    mean: float
    sd: float | None
    n: int
    median: float
    q25: float
    q75: float


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError for no values."""
    if len(values) == 0:
        raise ValueError("no values")
    array = np.asarray(values, dtype=np.float64)
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    q25, median, q75 = quantiles(array, (0.25, 0.5, 0.75))
    return Spread(float(array.mean()), sd, len(array), median, q25, q75)

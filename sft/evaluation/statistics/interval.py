"""Percentile intervals and p-values of bootstrap samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.statistics.quantiles import quantiles

# Sums are made in float32: what differs by less differs by rounding.
_ROUNDING = 1e-6


class Interval(NamedTuple):
    low: float
    high: float


def percentile_interval(samples: NDArray[np.float64], level: float = 0.95) -> Interval:
    """The central `level` of the samples [B] (Efron & Tibshirani 1993, chapter 13)."""
    return Interval(*quantiles(samples, ((1 - level) / 2, (1 + level) / 2)))


def two_sided_p(samples: NDArray[np.float64]) -> float:
    """The p-value of "the difference is 0", from bootstrap samples [B] of that difference.

    Twice the share of samples on the rarer side of 0, those at 0 counted on both sides: the level at which the
    percentile interval just touches 0. One is added to count and total (Davison & Hinkley 1997, 4.2), so it is never 0
    but at least 2 / (B + 1).
    """
    below = int((samples <= _ROUNDING).sum())
    above = int((samples >= -_ROUNDING).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(samples) + 1))

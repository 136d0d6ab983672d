"""Quantiles by linear interpolation (type 7 of Hyndman & Fan 1996)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """The same as `np.quantile`, whose first call imports modules for a tenth of a second. values: [n], not empty."""
    positions = [share * (len(values) - 1) for share in shares]
    wanted = {min(int(position) + step, len(values) - 1) for position in positions for step in (0, 1)}
    ranked = np.partition(values, sorted(wanted))
    found = []
    for position in positions:
        below = int(position)
        above = min(below + 1, len(values) - 1)
        found.append(float(ranked[below] + (position - below) * (ranked[above] - ranked[below])))
    return found

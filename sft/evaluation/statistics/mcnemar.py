"""McNemar's exact test: do two classifiers err on different rows equally often?"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class McNemar(NamedTuple):
    """Rows by who was right, and the two-sided p-value."""

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """first, second: [N] whether each was right, on the same rows (McNemar 1947; the exact, conditional form).

    Of the rows on which only one was right, each is as likely to be either's under the null hypothesis: the p-value is
    the two-sided one of a binomial with probability 1/2, and 1 where there is no such row.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    both = int((first & second).sum())
    return McNemar(
        both, only_first, only_second, len(first) - both - only_first - only_second, _p(only_first, only_second)
    )


def _p(first: int, second: int) -> float:
    """2 P(X <= min(first, second)), X binomial, summed in whole numbers."""
    n, ways, total = first + second, 1, 0
    for k in range(min(first, second) + 1):
        total += ways
        ways = ways * (n - k) // (k + 1)
    return float(min(Fraction(2 * total, 2**n), Fraction(1)))

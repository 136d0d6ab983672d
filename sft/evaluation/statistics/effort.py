"""How many bootstrap samples a table gets."""

from __future__ import annotations

FEWEST, USUAL = 1_999, 9_999

# So many per test let Holm's correction of the smallest p-value, 2 / (B + 1), reach well below 0.05.
_PER_TEST = 50
# Multiplications that take a few seconds on one core of an ordinary processor.
_AFFORDABLE = 6e10


def resamples_for(work: float, tests: int) -> int:
    """9,999, and more where many tests need a finer p-value; fewer where that would take too long.

    work: numbers to be summed per sample (test rows × sums per row of all runs). tests: how many are corrected
    together.
    """
    return int(min(max(USUAL, _PER_TEST * tests), max(FEWEST, _AFFORDABLE / max(work, 1))))

"""McNemar's exact test against SciPy's binomial test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from sft.evaluation.statistics.mcnemar import mcnemar

COUNTS = [(0, 0), (0, 1), (1, 1), (0, 6), (3, 9), (9, 3), (10, 10), (40, 70), (700, 801), (3000, 2500)]


@pytest.mark.parametrize(("first", "second"), COUNTS)
def test_the_p_value_is_the_exact_binomial_one(first: int, second: int) -> None:
    right = np.array([True] * 5 + [True] * first + [False] * second + [False] * 2)
    other = np.array([True] * 5 + [False] * first + [True] * second + [False] * 2)
    found = mcnemar(right, other)
    assert found[:4] == (5, first, second, 2)
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert found.p == pytest.approx(expected, rel=1e-9)

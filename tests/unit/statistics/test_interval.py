"""Percentile intervals and p-values."""

from __future__ import annotations

import numpy as np
import pytest

from sft.evaluation.statistics.interval import percentile_interval, two_sided_p


def test_the_interval_holds_the_central_share() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))
    assert percentile_interval(np.arange(1001.0), level=0.5) == pytest.approx((250, 750))


# (bootstrap samples of a difference, the p-value by hand)
P_VALUES = [
    ([1.0] * 99, 2 * 1 / 100),
    ([-1.0] * 99, 2 * 1 / 100),
    ([0.0] * 99, 1.0),
    ([1e-9] * 99, 1.0),
    ([-1.0] * 4 + [1.0] * 95, 2 * 5 / 100),
    ([-1.0] * 4 + [0.0] * 3 + [1.0] * 92, 2 * 8 / 100),
    ([-1.0] * 50 + [1.0] * 49, 1.0),
]


@pytest.mark.parametrize(("samples", "p"), P_VALUES)
def test_p_values_are_two_sided_corrected_by_one_and_count_ties_on_both_sides(samples: list[float], p: float) -> None:
    assert two_sided_p(np.array(samples)) == pytest.approx(p)


def test_p_is_below_five_percent_where_the_interval_excludes_zero() -> None:
    generator = np.random.default_rng(0)
    for shift in np.linspace(1.5, 2.5, 41):
        samples = generator.normal(shift, 1, 9_999)
        p, interval = two_sided_p(samples), percentile_interval(samples)
        if abs(p - 0.05) > 0.002:
            assert (p < 0.05) == (interval.low > 0)

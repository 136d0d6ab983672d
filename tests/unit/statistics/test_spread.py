"""A number over seeds, against Python's own statistics."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft.evaluation.statistics.spread import Spread, spread


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_it_agrees_with_the_standard_library(values: list[float]) -> None:
    found = spread(values)
    q25, median, q75 = statistics.quantiles(values, n=4, method="inclusive")
    assert found.mean == pytest.approx(statistics.fmean(values), abs=1e-12)
    assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-12)
    assert (found.q25, found.median, found.q75) == pytest.approx((q25, median, q75), abs=1e-12)
    assert found.n == len(values)


def test_one_value_has_no_standard_deviation_and_no_values_are_refused() -> None:
    assert spread([0.25]) == Spread(0.25, None, 1, 0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="no values"):
        spread([])

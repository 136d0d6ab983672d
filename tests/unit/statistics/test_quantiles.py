"""Quantiles against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft.evaluation.statistics.quantiles import quantiles


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_they_are_numpy_s(values: list[float], shares: list[float]) -> None:
    array = np.array(values)
    assert quantiles(array, shares) == pytest.approx(np.quantile(array, shares).tolist(), abs=1e-12)

"""Holm's correction against hand-computed values and against closed testing, of which it is the short cut."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft.evaluation.statistics.holm import holm


def test_hand_computed_values() -> None:
    # sorted 0.005 · 4, 0.01 · 3, 0.03 · 2, 0.04 · 1, none below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_it_is_the_closed_test_with_bonferroni(p_values: list[float]) -> None:
    numbers = range(len(p_values))
    subsets = [set(chosen) for size in numbers for chosen in combinations(numbers, size + 1)]
    expected = [
        max(min(1.0, len(subset) * min(p_values[i] for i in subset)) for subset in subsets if one in subset)
        for one in numbers
    ]
    assert holm(p_values) == pytest.approx(expected)

"""Thresholds against a search over all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft.evaluation.thresholds import best_threshold, best_thresholds, logit, sigmoid


def f1(log_odds: np.ndarray, has_label: np.ndarray, threshold: float) -> float:
    hits, predicted = (has_label & (log_odds >= threshold)).sum(), (log_odds >= threshold).sum()
    return float(2 * hits / (has_label.sum() + predicted))


@given(st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=1, max_size=14))
def test_no_threshold_has_a_better_f1(rows: list[tuple[int, bool]]) -> None:
    log_odds, has_label = np.array([odds for odds, _ in rows], dtype=float), np.array([has for _, has in rows])
    found = best_threshold(log_odds, has_label)
    if not 2 <= has_label.sum() < len(rows):
        assert found == 0.0
        return
    best = max(f1(log_odds, has_label, threshold) for threshold in np.arange(-7, 7, 0.5))
    assert f1(log_odds, has_label, found) == pytest.approx(best)


CASES = {
    "the middle between two rows": ([-3, -2, 4, 5], [0, 0, 1, 1], 1.0),
    "the middle where zero would do too": ([-1, -1, 9, 9], [0, 0, 1, 1], 4.0),
    "equal f1: the one nearest to zero": ([-4, -2, 6, 8], [1, 0, 0, 1], -4.0),
    "all rows: the lowest where that is below zero": ([-4, -3, -2], [1, 1, 0], -4.0),
    "all rows: zero where they are above it": ([4, 5, 9], [1, 1, 0], 0.0),
    "one row with the label": ([-3, 2], [0, 1], 0.0),
    "no row without it": ([-3, 2], [1, 1], 0.0),
    "equal values are not parted": ([1, 1, 1, 3], [1, 0, 1, 1], 0.0),
}


@pytest.mark.parametrize("case", CASES)
def test_where_a_threshold_is_put(case: str) -> None:
    log_odds, has_label, expected = CASES[case]
    assert best_threshold(np.array(log_odds, dtype=float), np.array(has_label, dtype=bool)) == expected


def test_every_label_has_its_own_and_without_rows_it_is_zero() -> None:
    log_odds = np.array([[-3.0, 1.0], [-1.0, 2.0], [0.0, 3.0], [2.0, 9.0]])
    has_label = np.array([[0, 0], [0, 0], [1, 0], [1, 1]], dtype=bool)
    assert best_thresholds(log_odds, has_label).tolist() == [-0.5, 0.0]
    assert best_thresholds(np.empty((0, 2)), np.empty((0, 2), dtype=bool)).tolist() == [0.0, 0.0]


def test_probabilities_and_log_odds_are_inverse_and_never_overflow() -> None:
    values = np.array([-800.0, -5.0, 0.0, 5.0, 800.0])
    np.testing.assert_allclose(sigmoid(values)[1:4], 1 / (1 + np.exp(-values[1:4])), rtol=1e-12)
    assert sigmoid(values)[[0, 4]].tolist() == [0.0, 1.0]
    for p in (0.2, 0.5, 0.999):
        assert float(sigmoid(np.array(logit(p)))) == pytest.approx(p, rel=1e-12)
    assert (logit(0.0), logit(1.0)) == (-math.inf, math.inf)

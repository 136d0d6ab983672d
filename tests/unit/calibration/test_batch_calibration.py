"""Batch calibration against Zhou et al.'s definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sft.calibration.batch import BatchCalibration
from sft.errors import SftError
from sft.inference.scores import probabilities
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config

NOTHING = np.empty((0, 2))
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])


def adjusted(scores: np.ndarray, **arguments: Any) -> np.ndarray:
    return probabilities(BatchCalibration(**arguments).adjust(scores, NOTHING))


def test_in_log_space_the_geometric_mean_is_divided_out() -> None:
    """By hand: odds 9, 4 and 1.5 have the geometric mean 54^(1/3)."""
    mean_odds = (9 * 4 * 1.5) ** (1 / 3)
    odds = [9 / mean_odds, 4 / mean_odds, 1.5 / mean_odds]
    expected = [[o / (1 + o), 1 / (1 + o)] for o in odds]
    np.testing.assert_allclose(adjusted(np.log(PROBABILITIES)), expected, atol=1e-12)
    assert [row[0] > 0.5 for row in expected] == [True, True, False]


def test_in_probability_space_the_mean_probability_is_divided_out() -> None:
    """By hand: the mean is (2.3/3, 0.7/3)."""
    expected = []
    for first, second in PROBABILITIES.tolist():
        a, b = first / 2.3, second / 0.7
        expected.append([a / (a + b), b / (a + b)])
    np.testing.assert_allclose(adjusted(np.log(PROBABILITIES), space="probability"), expected, atol=1e-12)


def test_the_two_spaces_differ() -> None:
    scores = np.log(PROBABILITIES)
    assert np.abs(adjusted(scores) - adjusted(scores, space="probability")).max() > 0.01


@pytest.mark.parametrize("space", ["log", "probability"])
def test_rows_are_normalised_before_their_mean_is_taken(space: str) -> None:
    """A row whose label probabilities are all small has the same say as another."""
    scores = np.log(PROBABILITIES) + np.array([[0.0], [-30.0], [math.log(0.5)]])
    np.testing.assert_allclose(adjusted(scores, space=space), adjusted(np.log(PROBABILITIES), space=space), atol=1e-12)


@pytest.mark.parametrize("space", ["log", "probability"])
def test_equal_rows_become_uniform(space: str) -> None:
    scores = np.log(np.tile([0.7, 0.2, 0.1], (5, 1)))
    np.testing.assert_allclose(adjusted(scores, space=space), np.full((5, 3), 1 / 3), atol=1e-12)


def test_one_single_row_is_refused() -> None:
    with pytest.raises(SftError, match="got 1"):
        adjusted(np.log([[0.7, 0.3]]))


def test_it_is_marked_as_transductive_and_needs_no_content_free_input() -> None:
    assert BatchCalibration().transductive is True
    assert list(BatchCalibration().content_free_inputs()) == []


@pytest.mark.parametrize("space", ["logarithm", None, 1])
def test_an_unknown_space_is_refused(space: Any) -> None:
    problems = check_registered_names(
        make_config(inference={"calibration": {"method": "batch", "args": {"space": space}}})
    )
    assert [problem.key for problem in problems] == ["inference.calibration.args"]
    assert repr(space) in problems[0].message

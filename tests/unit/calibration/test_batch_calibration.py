"""Batch calibration against Zhou et al.'s definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sft.calibration.batch import BatchCalibration
from sft.errors import SftError
from sft.label_scores import probabilities
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config
from tests.unit.calibration.supports import support

PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])
FILE: dict[str, Any] = {"estimate_on": "unlabelled", "unlabelled_path": "more.jsonl"}


def adjusted(scores: np.ndarray, unlabelled: np.ndarray | None = None, **arguments: Any) -> np.ndarray:
    given = support() if unlabelled is None else support(unlabelled=unlabelled)
    return probabilities(BatchCalibration(**arguments).adjust(scores, given).scores)


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


@pytest.mark.parametrize("space", ["log", "probability"])
def test_shuffled_rows_are_calibrated_the_same(space: str) -> None:
    scores = np.random.default_rng(0).normal(size=(50, 3))
    order = np.random.default_rng(1).permutation(50)
    np.testing.assert_allclose(adjusted(scores[order], space=space), adjusted(scores, space=space)[order], atol=1e-12)


def test_in_log_space_a_bias_that_all_rows_share_is_removed_exactly() -> None:
    """The paper's model of the problem: log p is evidence plus a constant per label."""
    evidence, bias = np.random.default_rng(0).normal(size=(50, 3)), np.array([2.0, 0.0, -1.0])
    np.testing.assert_allclose(adjusted(evidence + bias), adjusted(evidence), atol=1e-12)


def test_an_imbalanced_test_set_is_pulled_towards_balance() -> None:
    """The known harm. 90 rows of one label and 10 of the other, all of them right with odds 3 : 1 before.

    By hand: the mean log-odds are (90 - 10) / 100 · ln 3; subtracted, rows of the rare label stay right and rows of the
    common one keep log-odds of 0.2 ln 3, i.e. a probability of 0.555 instead of 0.75. With evidence of two strengths,
    the weaker rows of the common label are lost.
    """
    common, rare = np.log([[0.75, 0.25]] * 90), np.log([[0.25, 0.75]] * 10)
    calibrated = adjusted(np.concatenate([common, rare]))
    odds = math.exp(0.2 * math.log(3))
    np.testing.assert_allclose(calibrated[:90, 0], odds / (1 + odds), atol=1e-12)
    weak = np.log([[0.6, 0.4]] * 45)
    mixed = np.concatenate([common[:45], weak, rare])
    right = np.array([0] * 90 + [1] * 10)
    assert (mixed.argmax(axis=1) == right).mean() == 1.0
    assert (adjusted(mixed).argmax(axis=1) == right).mean() == 0.55


@pytest.mark.parametrize("space", ["log", "probability"])
def test_the_bias_of_a_file_is_removed_from_every_row_alone(space: str) -> None:
    unlabelled, scores = np.log(PROBABILITIES), np.log([[0.7, 0.3]])
    together = np.concatenate([scores, np.log([[0.01, 0.99]] * 5)])
    alone = adjusted(scores, unlabelled, space=space, **FILE)
    np.testing.assert_allclose(adjusted(together, unlabelled, space=space, **FILE)[:1], alone, atol=1e-12)
    np.testing.assert_allclose(
        adjusted(unlabelled, unlabelled, space=space, **FILE), adjusted(unlabelled, space=space), atol=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "unlabelled", "message", "fix"),
    [
        ({}, None, "got 1 test rows", "estimate_on: unlabelled"),
        (FILE, np.log([[0.5, 0.5]]), "got 1 rows of unlabelled_path", "a file with more rows"),
    ],
    ids=["test", "file"],
)
def test_one_single_row_is_refused(
    arguments: dict[str, Any], unlabelled: np.ndarray | None, message: str, fix: str
) -> None:
    with pytest.raises(SftError, match=message) as caught:
        adjusted(np.log([[0.7, 0.3]]), unlabelled, **arguments)
    assert fix in str(caught.value)


def test_it_is_transductive_unless_its_bias_is_that_of_a_file() -> None:
    assert BatchCalibration().transductive is True
    assert BatchCalibration(**FILE).transductive is False
    assert BatchCalibration(**FILE).needs.unlabelled == "more.jsonl"
    assert BatchCalibration().needs.unlabelled is None


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("batch", {"space": "logarithm"}, ".space", '"logarithm"'),
    ("batch", {"space": None}, ".space", "null"),
    *(
        (method, args, key, text)
        for method in ("batch", "batch_adjustable")
        for args, key, text in [
            ({"estimate_on": "train"}, ".estimate_on", '"train"'),
            ({"unlabelled_path": 5}, ".unlabelled_path", "5"),
            ({"estimate_on": "unlabelled"}, "", "unlabelled_path is missing"),
            ({"unlabelled_path": "x.jsonl"}, "", "unlabelled_path is given ('x.jsonl')"),
        ]
    ),
]


@pytest.mark.parametrize(("method", "args", "key", "text"), REFUSED, ids=[f"{m} {a}" for m, a, _, _ in REFUSED])
def test_arguments_that_make_no_sense_are_refused(method: str, args: dict[str, Any], key: str, text: str) -> None:
    problems = check_registered_names(make_config(inference={"calibration": {"method": method, "args": args}}))
    assert [problem.key for problem in problems] == [f"inference.calibration.args{key}"]
    assert text in problems[0].message

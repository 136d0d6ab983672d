"""What every calibration promises, whoever adds it to the registry."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from sft.calibration import Calibration, calibration_registry
from sft.config.schema import ExperimentConfig
from sft.inference.scores import log_softmax, probabilities
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config

NAMES = list(calibration_registry)
SCORES = np.log(np.random.default_rng(0).dirichlet(np.ones(4), size=6)) - 3.0


def content_free_scores(calibration: Calibration) -> np.ndarray:
    count = len(calibration.content_free_inputs())
    return np.log(np.random.default_rng(1).dirichlet(np.ones(4), size=count)).reshape(count, 4) - 5.0


def config_with(method: str, **args: Any) -> ExperimentConfig:
    return make_config(inference={"calibration": {"method": method, "args": args}})


def test_the_registry_holds_the_published_methods() -> None:
    assert {"batch", "contextual"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_made_without_arguments_and_passes_the_config_check(name: str) -> None:
    calibration_registry[name]()
    assert check_registered_names(config_with(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_argument_is_refused_naming_it(name: str) -> None:
    problems = check_registered_names(config_with(name, nonsense=1))
    assert [problem.key for problem in problems] == ["inference.calibration.args.nonsense"]


def test_an_unknown_calibration_is_refused_with_the_nearest_name() -> None:
    (problem,) = check_registered_names(config_with("contextuel"))
    assert problem.key == "inference.calibration.method"
    assert problem.fix == "did you mean 'contextual'?"


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_keywords_with_defaults(name: str) -> None:
    parameters = inspect.signature(calibration_registry[name]).parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_whether_it_is_transductive_and_which_texts_it_needs(name: str) -> None:
    calibration = calibration_registry[name]()
    assert isinstance(calibration.transductive, bool)
    assert all(isinstance(text, str) for text in calibration.content_free_inputs())


@pytest.mark.parametrize("name", NAMES)
def test_adjusted_scores_are_finite_of_the_same_shape_and_another_array(name: str) -> None:
    calibration = calibration_registry[name]()
    before = SCORES.copy()
    adjusted = calibration.adjust(SCORES, content_free_scores(calibration))
    assert adjusted.shape == SCORES.shape
    assert np.isfinite(adjusted).all()
    np.testing.assert_array_equal(SCORES, before)
    np.testing.assert_allclose(probabilities(adjusted).sum(axis=1), 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_rows_and_labels_is_kept(name: str) -> None:
    calibration = calibration_registry[name]()
    content_free = content_free_scores(calibration)
    adjusted = log_softmax(calibration.adjust(SCORES, content_free))
    rows, labels = np.array([3, 0, 5, 1, 4, 2]), np.array([2, 0, 3, 1])
    by_row = log_softmax(calibration.adjust(SCORES[rows], content_free))
    np.testing.assert_allclose(by_row, adjusted[rows], atol=1e-12)
    by_label = log_softmax(calibration.adjust(SCORES[:, labels], content_free[:, labels]))
    np.testing.assert_allclose(by_label, adjusted[:, labels], atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_level_of_the_scores_does_not_matter(name: str) -> None:
    """A constant on a row is no evidence for any label, and far below zero nothing underflows."""
    calibration = calibration_registry[name]()
    content_free = content_free_scores(calibration)
    adjusted = log_softmax(calibration.adjust(SCORES, content_free))
    shifted = log_softmax(calibration.adjust(SCORES - 2000.0, content_free - 3000.0))
    np.testing.assert_allclose(shifted, adjusted, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in NAMES if not calibration_registry[n]().transductive])
def test_without_transduction_a_row_is_adjusted_alone(name: str) -> None:
    calibration = calibration_registry[name]()
    content_free = content_free_scores(calibration)
    together = calibration.adjust(SCORES, content_free)
    alone = np.concatenate([calibration.adjust(row[None], content_free) for row in SCORES])
    np.testing.assert_allclose(alone, together, atol=1e-12)

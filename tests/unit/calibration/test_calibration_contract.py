"""What every calibration promises, whoever adds it to the registry."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any

import numpy as np
import pytest

from sft.calibration import Calibration, Needs, Support, calibration_registry
from sft.config.schema import ExperimentConfig
from sft.label_scores import log_softmax, probabilities
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config
from tests.unit.calibration.supports import made_up

NAMES = list(calibration_registry)
SCORES = np.log(np.random.default_rng(0).dirichlet(np.ones(4), size=6)) - 3.0
# Further arguments under which a calibration needs something else.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("contextual", {"prior": "per_prompt"}),
    ("domain", {"prior": "per_prompt", "samples": 3}),
    ("batch", {"space": "probability"}),
    ("batch", {"estimate_on": "unlabelled", "unlabelled_path": "more.jsonl"}),
    ("batch_adjustable", {"estimate_on": "unlabelled", "unlabelled_path": "more.jsonl"}),
]
IDS = [f"{name} {args}" if args else name for name, args in VARIANTS]
each_variant = pytest.mark.parametrize(("name", "args"), VARIANTS, ids=IDS)


def calibration_of(name: str, args: dict[str, Any]) -> Calibration:
    calibration: Calibration = calibration_registry[name](**args)
    return calibration


def config_with(method: str, **args: Any) -> ExperimentConfig:
    return make_config(inference={"calibration": {"method": method, "args": args}})


def changed(support: Support, change: Any) -> Support:
    """A support with its scores, but not its labels, changed."""
    fields = ("content_free", "random_words", "shots", "unlabelled")
    return dataclasses.replace(support, **{name: change(getattr(support, name)) for name in fields})


def adjusted(calibration: Calibration, scores: np.ndarray, support: Support) -> np.ndarray:
    return log_softmax(calibration.adjust(scores, support).scores)


def test_the_registry_holds_the_published_methods() -> None:
    assert {"batch", "batch_adjustable", "contextual", "domain", "temperature"} <= set(NAMES)


@each_variant
def test_it_passes_the_config_check(name: str, args: dict[str, Any]) -> None:
    calibration_registry[name]()
    assert check_registered_names(config_with(name, **args)) == []


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_argument_is_refused_naming_it(name: str) -> None:
    problems = check_registered_names(config_with(name, nonsense=1))
    assert [problem.key for problem in problems] == ["inference.calibration.args.nonsense"]


def test_an_unknown_calibration_is_refused_with_the_nearest_name() -> None:
    (problem,) = check_registered_names(config_with("contextuel"))
    assert problem.key == "inference.calibration.method"
    assert problem.fix == "did you mean 'contextual'?"


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_keywords_with_annotations_and_defaults(name: str) -> None:
    parameters = inspect.signature(calibration_registry[name]).parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters)
    assert all(p.annotation is not p.empty for p in parameters)


@each_variant
def test_it_says_whether_it_is_transductive_and_what_it_needs(name: str, args: dict[str, Any]) -> None:
    calibration = calibration_of(name, args)
    assert isinstance(calibration.transductive, bool)
    assert isinstance(calibration.needs, Needs)
    assert not calibration.needs.premise, "premises are for normalisations"


@each_variant
def test_adjusted_scores_are_finite_of_the_same_shape_and_another_array(name: str, args: dict[str, Any]) -> None:
    calibration = calibration_of(name, args)
    before = SCORES.copy()
    result = calibration.adjust(SCORES, made_up(calibration, len(SCORES)))
    assert result.scores.shape == SCORES.shape
    assert np.isfinite(result.scores).all()
    np.testing.assert_array_equal(SCORES, before)
    np.testing.assert_allclose(probabilities(result.scores).sum(axis=1), 1)


@each_variant
def test_what_is_fitted_is_named_and_fits_into_json(name: str, args: dict[str, Any]) -> None:
    calibration = calibration_of(name, args)
    fitted = calibration.adjust(SCORES, made_up(calibration, len(SCORES))).fitted
    assert all(isinstance(key, str) and type(value) is float for key, value in fitted.items())
    assert bool(fitted) is calibration.needs.shots, "constants are fitted on the shots"


@each_variant
def test_the_order_of_rows_and_labels_is_kept(name: str, args: dict[str, Any]) -> None:
    calibration = calibration_of(name, args)
    support = made_up(calibration, len(SCORES))
    before = adjusted(calibration, SCORES, support)
    rows, labels = np.array([3, 0, 5, 1, 4, 2]), np.array([2, 0, 3, 1])
    by_row = support
    if calibration.needs.per_prompt:
        by_row = dataclasses.replace(
            support, content_free=support.content_free[rows], random_words=support.random_words[rows]
        )
    np.testing.assert_allclose(adjusted(calibration, SCORES[rows], by_row), before[rows], atol=1e-12)
    by_label = changed(support, lambda scores: scores[..., labels])
    by_label = dataclasses.replace(by_label, shot_labels=np.argsort(labels)[support.shot_labels])
    np.testing.assert_allclose(adjusted(calibration, SCORES[:, labels], by_label), before[:, labels], atol=1e-9)


@each_variant
def test_the_level_of_the_scores_does_not_matter(name: str, args: dict[str, Any]) -> None:
    """A constant on a row is no evidence for any label, and far below zero nothing underflows."""
    calibration = calibration_of(name, args)
    support = made_up(calibration, len(SCORES))
    shifted = adjusted(calibration, SCORES - 2000.0, changed(support, lambda scores: scores - 3000.0))
    np.testing.assert_allclose(shifted, adjusted(calibration, SCORES, support), atol=1e-7)


ALONE = [(name, args) for name, args in VARIANTS if not calibration_of(name, args).transductive]


@pytest.mark.parametrize(("name", "args"), ALONE, ids=str)
def test_without_transduction_a_row_is_adjusted_alone(name: str, args: dict[str, Any]) -> None:
    calibration = calibration_of(name, args)
    support = made_up(calibration, len(SCORES))
    together = calibration.adjust(SCORES, support).scores
    for i, row in enumerate(SCORES):
        own = support
        if calibration.needs.per_prompt:
            place = slice(i, i + 1)
            own = dataclasses.replace(
                support, content_free=support.content_free[place], random_words=support.random_words[place]
            )
        np.testing.assert_allclose(calibration.adjust(row[None], own).scores[0], together[i], atol=1e-12)


PER_PROMPT = [(name, args) for name, args in VARIANTS if args.get("prior") == "per_prompt"]


@pytest.mark.parametrize(("name", "args"), PER_PROMPT, ids=str)
def test_a_prior_per_prompt_is_the_shared_one_where_all_prompts_have_the_same(name: str, args: dict[str, Any]) -> None:
    shared = calibration_of(name, {**args, "prior": "shared"})
    support = made_up(shared, len(SCORES))
    repeated = changed(support, lambda scores: np.broadcast_to(scores, (len(SCORES), *scores.shape)))
    each = calibration_of(name, args).adjust(SCORES, repeated).scores
    np.testing.assert_allclose(each, shared.adjust(SCORES, support).scores, atol=1e-12)
    assert calibration_of(name, args).needs == dataclasses.replace(shared.needs, per_prompt=True)


def test_annotations_of_arguments_can_be_evaluated() -> None:
    """The config check reads them."""
    for name in NAMES:
        typing.get_type_hints(calibration_registry[name].__init__, include_extras=True)  # type: ignore[misc]

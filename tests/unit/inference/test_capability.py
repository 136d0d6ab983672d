"""Which engine is chosen, and that a wrong one never is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from sft.inference import capability
from sft.inference.engines import EngineOptions, engine_registry
from sft.inference.label_scorer import LabelScorer
from sft.inference.shared_prefixes import ScoringRow
from sft.inference.unsupported import UnsupportedModelError
from tests.label_scoring import brute_force, prompts_of
from tests.tiny_models import tiny_loaded


class _Named:
    """A function as an engine."""

    compiled = False

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, rows: Sequence[ScoringRow], waiting: int = 0) -> Any:
        return self._function(rows)


class _Off:
    """The plain engine with an error of a given size in one score."""

    def __init__(self, by: float) -> None:
        self._by = by

    def __call__(self, loaded: Any, options: EngineOptions) -> Any:
        plain = engine_registry["naive"](loaded, options)

        def score(rows: Sequence[ScoringRow]) -> np.ndarray:
            scores = plain(rows)
            scores[-1, -1] += self._by
            return scores

        return _Named(score)


def _fails(error: Exception) -> Any:
    def make(loaded: Any, options: EngineOptions) -> Any:
        raise error

    return make


@pytest.fixture
def replace_engine() -> Iterator[Any]:
    before = dict(engine_registry)

    def replace(name: str, maker: Any) -> None:
        del engine_registry[name]
        engine_registry[name] = maker

    yield replace
    for name, maker in before.items():
        replace(name, maker)


def test_the_fastest_engine_that_agrees_is_chosen_and_the_record_says_how_well() -> None:
    scorer = LabelScorer(tiny_loaded())
    scorer.score(prompts_of(), None)
    report = scorer.report()
    assert report["engine"] == "tree"
    assert report["difference"] <= report["tolerance"]
    assert "two prompts" in report["reason"]
    assert report["rejected"] == {}


@pytest.mark.parametrize("off", [2e-3, -2e-3, float("nan"), float("-inf")])
def test_an_engine_that_is_off_is_not_used(off: float, replace_engine: Any) -> None:
    loaded = tiny_loaded()
    replace_engine("tree", _Off(off))
    scorer = LabelScorer(loaded)
    scores = scorer.score(prompts_of(), None).log_probs
    assert scorer.report()["engine"] == "cache"
    assert list(scorer.report()["rejected"]) == ["tree"]
    np.testing.assert_allclose(scores, brute_force(loaded.model, prompts_of(), None), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "error", [UnsupportedModelError("has no layers"), RuntimeError("shapes don't match"), KeyError("layer_idx")]
)
def test_an_engine_that_fails_is_not_used_and_the_record_says_why(error: Exception, replace_engine: Any) -> None:
    for name in ("tree", "cache", "cache_stepwise"):
        replace_engine(name, _fails(error))
    scorer = LabelScorer(tiny_loaded())
    scorer.score(prompts_of(), None)
    report = scorer.report()
    assert report["engine"] == "naive"
    assert sorted(report["rejected"]) == ["cache", "cache_stepwise", "tree"]
    assert str(error).strip("'") in report["rejected"]["tree"]


def test_the_comparison_is_made_again_only_when_prompts_get_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that no compared prompt crossed is crossed by a longer one."""
    compared: list[int] = []
    choose = capability.choose_engine

    def spy(loaded: Any, rows: Sequence[ScoringRow], options: EngineOptions) -> Any:
        compared.append(max(len(row.prompt) for row in rows))
        return choose(loaded, rows, options)

    monkeypatch.setattr("sft.inference.label_scorer.choose_engine", spy)
    scorer = LabelScorer(tiny_loaded())
    for longest in (10, 8, 10, 20):
        scorer.score(prompts_of([3, 4, longest]), None)
    assert compared == [10, 20]


def test_the_trial_is_the_longest_and_a_short_prompt_with_labels_that_branch(replace_engine: Any) -> None:
    tried: list[list[ScoringRow]] = []

    def maker(loaded: Any, options: EngineOptions) -> Any:
        plain = engine_registry["naive"](loaded, options)
        return _Named(lambda rows: tried.append(list(rows)) or plain(rows))

    replace_engine("tree", maker)
    LabelScorer(tiny_loaded()).score(prompts_of([6, 3, 9, 4]), None)
    trial = tried[0]
    assert [len(row.prompt) for row in trial] == [9, 3]
    labels = trial[0].tree.labels
    assert (40, 41, 42, 43, 44, 45) in labels
    assert (40, 41, 42) in labels
    assert len(labels) == 3


def test_the_short_prompt_of_the_trial_begins_like_the_longest_if_any_does(replace_engine: Any) -> None:
    """So that a shared prefix is part of what is tried."""
    tried: list[list[ScoringRow]] = []

    def maker(loaded: Any, options: EngineOptions) -> Any:
        plain = engine_registry["naive"](loaded, options)
        return _Named(lambda rows: tried.append(list(rows)) or plain(rows))

    replace_engine("tree", maker)
    LabelScorer(tiny_loaded()).score([*prompts_of([6, 3, 9], prefix=30), *prompts_of([2, 4])], None)
    assert [len(row.prompt) for row in tried[0]] == [39, 33]


def test_with_too_little_to_score_the_plain_way_is_taken() -> None:
    scorer = LabelScorer(tiny_loaded())
    scorer.score(prompts_of([4], [[1], [2]]), None)
    assert scorer.report()["engine"] == "naive"


@pytest.mark.parametrize("engine", ["tree", "cache", "cache_stepwise", "naive"])
def test_a_named_engine_is_used_without_a_comparison(engine: Any) -> None:
    scorer = LabelScorer(tiny_loaded(), engine=engine)
    scorer.score(prompts_of(), None)
    assert scorer.report()["engine"] == engine
    assert scorer.report()["difference"] is None


def test_half_precision_is_held_to_its_own_tolerance() -> None:
    loaded = tiny_loaded()
    loaded.model.to(torch.bfloat16)
    scorer = LabelScorer(loaded)
    scorer.score(prompts_of(prefix=30), None)
    report = scorer.report()
    assert report["engine"] == "tree"
    assert 1e-4 < report["difference"] <= report["tolerance"]


def test_in_half_precision_a_state_is_not_continued_by_a_cache() -> None:
    loaded = tiny_loaded("bamba")
    loaded.model.to(torch.bfloat16)
    scorer = LabelScorer(loaded)
    scorer.score(prompts_of(), None)
    assert scorer.report()["engine"] == "naive"
    assert "rounding hides" in scorer.report()["rejected"]["cache"]


def test_a_model_whose_plain_scores_depend_on_the_batch_is_allowed_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with activations that are quantised together."""
    loaded = tiny_loaded()
    forward = loaded.model.model.forward

    def depends_on_the_batch(*args: Any, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        output = forward(*args, input_ids=input_ids, **kwargs)
        output.last_hidden_state += 0.003 * input_ids.shape[0]
        return output

    depends_on_the_batch.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(loaded.model.model, "forward", depends_on_the_batch)
    scorer = LabelScorer(loaded)
    scorer.score(prompts_of(), None)
    report = scorer.report()
    assert report["engine"] == "tree"
    assert 2e-3 < report["difference"] <= report["tolerance"]

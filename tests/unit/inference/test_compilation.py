"""Compiled layers: the same scores, used while scoring only, and given up where they don't work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sft.inference.compilation import CompiledLayers
from sft.inference.engines import tree as tree_module
from sft.inference.label_scorer import LabelScorer
from sft.models.load import LoadedModel
from tests.label_scoring import brute_force, prompts_of
from tests.tiny_models import random_ids, tiny_loaded


@pytest.fixture(autouse=True)
def graphs_without_a_code_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are traced and their graphs run as they are: generating code takes a minute on a CPU."""
    if not torch.cuda.is_available():
        compile_ = torch.compile
        monkeypatch.setattr(torch, "compile", lambda f, **arguments: compile_(f, backend="eager", **arguments))
    torch.compiler.reset()


def compiled_scorer(loaded: LoadedModel) -> LabelScorer:
    return LabelScorer(loaded, 2, "tree", compile=True)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2", "gemma3", "gpt2", "opt"])
def test_compiled_layers_give_the_same_scores(architecture: str) -> None:
    loaded = tiny_loaded(architecture)
    if torch.cuda.is_available():
        loaded.model.to("cuda")
    prompts = prompts_of(prefix=40)
    scorer = compiled_scorer(loaded)
    expected = brute_force(loaded.model, prompts, None)
    for _ in range(2):
        np.testing.assert_allclose(scorer.score(prompts, None).log_probs, expected, atol=1e-4, rtol=0)
        assert scorer.report()["compiled"] is True


def test_the_layers_are_as_before_when_nothing_is_scored() -> None:
    loaded = tiny_loaded()
    ids = torch.tensor(random_ids([9]))
    before = loaded.model(input_ids=ids).logits
    compiled_scorer(loaded).score(prompts_of(), None)
    assert all("forward" not in vars(layer) for layer in loaded.model.model.layers)
    torch.testing.assert_close(loaded.model(input_ids=ids).logits, before, atol=0, rtol=0)


def test_layers_that_compile_to_something_else_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(function: Any, **arguments: Any) -> Any:
        return lambda *args, **kwargs: function(*args, **kwargs) * 1.01

    monkeypatch.setattr(torch, "compile", wrong)
    loaded = tiny_loaded()
    scorer = compiled_scorer(loaded)
    scores = scorer.score(prompts_of(), None).log_probs
    np.testing.assert_allclose(scores, brute_force(loaded.model, prompts_of(), None), atol=1e-4, rtol=0)
    assert scorer.report()["compiled"] is False
    assert "give other scores" in caplog.text


@pytest.mark.parametrize(
    ("dtype", "factor", "agrees"),
    [
        (torch.float32, 1.0, True),
        (torch.float32, 1.001, False),
        (torch.bfloat16, 1.0, True),
        (torch.bfloat16, 1.2, False),
    ],
)
def test_each_precision_is_held_to_its_own_tolerance(
    dtype: torch.dtype, factor: float, agrees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 16 bits the layers' graphs round in other places: here every output is moved to a neighbouring number."""

    def compiled(function: Any, **arguments: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            output = function(*args, **kwargs) * factor
            return output + output * torch.finfo(dtype).eps * torch.randn_like(output).sign() / 2

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    loaded = tiny_loaded()
    loaded.model.to(dtype)
    scorer = compiled_scorer(loaded)
    scorer.score(prompts_of(), None)
    assert scorer.report()["compiled"] is agrees


@pytest.mark.parametrize("error", [RuntimeError("no C compiler"), torch.cuda.OutOfMemoryError("simulated")])
def test_a_compiler_that_fails_is_done_without(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def failing(function: Any, **arguments: Any) -> Any:
        def fail(*args: Any, **kwargs: Any) -> Any:
            calls.append("called")
            raise error

        return fail

    monkeypatch.setattr(torch, "compile", failing)
    loaded = tiny_loaded()
    scorer = compiled_scorer(loaded)
    scores = scorer.score(prompts_of(), None).log_probs
    np.testing.assert_allclose(scores, brute_force(loaded.model, prompts_of(), None), atol=1e-4, rtol=0)
    assert len(calls) == 1, "it was tried again"
    assert scorer.report()["compiled"] is False


@pytest.mark.parametrize(("seconds", "compiles"), [(59.0, False), (61.0, True)])
def test_auto_compiles_on_a_gpu_when_more_than_a_minute_is_left(seconds: float, compiles: bool) -> None:
    loaded = tiny_loaded()
    options = tree_module.EngineOptions()
    engine = tree_module.TreeEngine(loaded, options)
    assert not engine.compiling_pays(1e9), "a CPU has no compiler that is known to be there"
    engine._may_compile = True  # as on a GPU
    assert engine.compiling_pays(seconds) is compiles


def test_no_layer_is_compiled_when_the_config_says_so() -> None:
    engine = tree_module.TreeEngine(tiny_loaded(), tree_module.EngineOptions(compile=False))
    assert not engine.compiling_pays(1e9)


def test_models_whose_layers_are_unknown_or_quantised_are_refused() -> None:
    model = tiny_loaded().model
    model.is_quantized = True
    with pytest.raises(ValueError, match="quantised"):
        CompiledLayers(model)
    with pytest.raises(ValueError, match="which of its modules"):
        CompiledLayers(torch.nn.Linear(2, 2))

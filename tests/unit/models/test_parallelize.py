"""Weights on CPU and disk under a small `max_memory` give the scores that they give in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.config.schema import ModelConfig
from sft.errors import ModelError
from sft.inference.label_scorer import EngineName, LabelScorer
from sft.models.load import LoadedModel
from sft.prompting.build import LabelPrompt
from tests.tiny_models import random_ids, save_tiny_model
from tests.unit.models.test_load import load, on_cpu, write_adapter

PROMPTS = [LabelPrompt(ids, [[10], [11, 12], [13, 14, 15]]) for ids in random_ids([3, 9, 20], vocabulary=250)]
# base-8m has 32 MB of float32 weights, the tiny Llama 0.1 MB.
SMALL = {"cpu": "12MB"}


def scores(loaded: LoadedModel, engine: EngineName = "tree") -> np.ndarray:
    return LabelScorer(loaded, 2, engine).score(PROMPTS, None).log_probs


def places(loaded: LoadedModel) -> dict[str, str]:
    return {name: str(place) for name, place in loaded.model.hf_device_map.items()}


@on_cpu
@pytest.mark.parametrize(
    "arguments",
    [
        {"max_memory": SMALL},
        {"max_memory": {**SMALL, "disk": "1GB"}},
        {"max_memory": SMALL, "no_split_module_classes": ["LlamaDecoderLayer"]},
        {"max_memory": SMALL, "no_split_module_classes": ["LlamaAttention", "LlamaMLP"]},
    ],
    ids=["whole", "with disk", "layers in one piece", "halves of layers in one piece"],
)
def test_a_real_model_on_cpu_and_disk_scores_as_in_memory(arguments: dict[str, Any], assets: Path) -> None:
    base = assets / "models" / "base-8m"
    expected = scores(load(base))
    loaded = load(base, model_args={"parallelize": True, **arguments})
    assert set(places(loaded).values()) == {"cpu", "disk"}, "nothing was offloaded"
    assert any(parameter.device.type == "meta" for parameter in loaded.model.parameters())
    np.testing.assert_allclose(scores(loaded), expected, atol=1e-5, rtol=0)


@on_cpu
def test_classes_that_must_not_be_split_are_in_one_place_each(assets: Path) -> None:
    arguments = {"parallelize": True, "max_memory": SMALL, "no_split_module_classes": ["LlamaDecoderLayer"]}
    layers = [name for name in places(load(assets / "models" / "base-8m", model_args=arguments)) if "layers" in name]
    assert sorted(layers) == [f"model.layers.{i}" for i in range(8)]


@on_cpu
def test_an_adapter_on_an_offloaded_model_scores_as_in_memory(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = assets / "models" / "base-8m"
    (tmp_path / "working directory").mkdir()
    monkeypatch.chdir(tmp_path / "working directory")
    expected = scores(write_adapter(tmp_path / "adapter", base))
    assert np.abs(expected - scores(load(base))).max() > 1
    arguments = {"parallelize": True, "max_memory": {**SMALL, "disk": "1GB"}}
    loaded = load(base, tmp_path / "adapter", model_args=arguments)
    assert "disk" in places(loaded).values()
    np.testing.assert_allclose(scores(loaded), expected, atol=1e-5, rtol=0)
    assert list(Path.cwd().iterdir()) == [], "PEFT wrote a copy of the weights"


def test_a_model_that_fits_is_simply_loaded(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path)
    expected = scores(load(base))
    np.testing.assert_allclose(scores(load(base, model_args={"parallelize": True})), expected, atol=1e-5, rtol=0)


def test_a_class_that_the_model_does_not_have_is_refused_with_those_it_has(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path)
    arguments = {"parallelize": True, "no_split_module_classes": ["LlamaDecoderLayer", "LlamaDecodrLayer"]}
    with pytest.raises(ModelError, match="no module of class LlamaDecodrLayer") as caught:
        load(base, model_args=arguments)
    assert "LlamaDecoderLayer" in (caught.value.hint or "")


def test_the_two_keys_do_not_reach_the_model_class(tmp_path: Path) -> None:
    """`from_pretrained` would refuse them; without `parallelize` they mean nothing."""
    config = ModelConfig(name=str(save_tiny_model(tmp_path)), model_args={"parallelize": False})
    assert load(config.name, model_args=config.model_args).model is not None

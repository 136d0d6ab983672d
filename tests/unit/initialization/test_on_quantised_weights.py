"""Initialisations on bitsandbytes weights: the base is never touched, and what is saved fits it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from sft.config.schema import MethodConfig
from sft.errors import ModelError
from sft.initialization.initializers import initializer_registry
from sft.initialization.initializers.base import MEASURED, parameters_of
from sft.initialization.utils import dequantize
from sft.models.load import LoadedModel
from sft.prompting.labelled import IGNORED, LabelledIds
from sft.training.attach import AttachedAdapter, attach
from tests.adapters import with_lora
from tests.tiny_models import random_ids, tiny_loaded
from tests.unit.models.test_load import load

bnb = pytest.importorskip("bitsandbytes", reason="the extra `quantization` is not installed")

QUANTIZATIONS = {
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "float32"},
    "int8": {"load_in_8bit": True},
}
IDS = torch.tensor(random_ids([20], vocabulary=250))
ROWS = [LabelledIds(ids, [IGNORED] * 5 + ids[5:]) for ids in random_ids([12, 9, 15], vocabulary=250)]
ARGS: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]}


@pytest.fixture
def base(assets: Path) -> Path:
    return assets / "models" / "base-8m"


def quantised(base: Path, kind: str) -> LoadedModel:
    quantization = {"config_class": "BitsAndBytesConfig", "args": QUANTIZATIONS[kind]}
    return load(base, quantization=quantization, model_args={"dtype": "float32"})


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(input_ids=IDS.to(model.device)).logits.float()


def step(attached: AttachedAdapter) -> None:
    model = attached.model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    ids = IDS.to(model.device)
    for _ in range(2):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("kind", QUANTIZATIONS)
@pytest.mark.parametrize("name", [name for name in initializer_registry if name not in ("loftq", "umap")])
def test_the_first_output_is_that_of_the_quantised_model(name: str, kind: str, base: Path) -> None:
    loaded = quantised(base, kind)
    before = logits(loaded.model)
    wrapped = with_lora(loaded.model, {**ARGS, "init_lora_weights": name}, rows=ROWS)
    # int8 rounds each row of activations, so a different order of sums shows.
    torch.testing.assert_close(logits(wrapped), before, atol=1e-3 if kind == "nf4" else 0.2, rtol=0)


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_factors_come_from_the_dequantised_weight_which_stays(kind: str, base: Path) -> None:
    loaded = quantised(base, kind)
    layer = loaded.model.model.layers[0].mlp.down_proj
    weight = dequantize(layer)
    wrapped = with_lora(loaded.model, {**ARGS, "init_lora_weights": "pissa"})
    adapted = wrapped.base_model.model.model.layers[0].mlp.down_proj
    u, s, vh = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(adapted.get_delta_weight("default"), (u[:, :4] * s[:4]) @ vh[:4], atol=1e-3, rtol=1e-2)
    assert torch.equal(dequantize(adapted.get_base_layer()), weight)


def test_the_saved_adapter_gives_the_same_outputs_in_plain_peft(base: Path, tmp_path: Path) -> None:
    loaded = quantised(base, "nf4")
    untrained = logits(loaded.model)
    attached = attach(loaded.model, MethodConfig(method="lora", args={**ARGS, "init_lora_weights": "pissa"}))
    attached.start()
    step(attached)
    in_training = logits(attached.model)
    assert (in_training - untrained).abs().max() > 0.05, "the training changed nothing"
    attached.finish()
    torch.testing.assert_close(logits(attached.model), in_training, atol=1e-3, rtol=0)
    attached.model.save_pretrained(tmp_path, save_embedding_layers=False)
    again = PeftModel.from_pretrained(quantised(base, "nf4").model, tmp_path)
    torch.testing.assert_close(logits(again), in_training, atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_loftq_starts_nearer_to_the_unquantised_model(kind: str, base: Path) -> None:
    original = load(base, model_args={"dtype": "float32"}).model
    loaded = quantised(base, kind)
    args = {**ARGS, "r": 64, "target_modules": "all-linear", "init_lora_weights": "loftq"}
    before = (logits(loaded.model) - logits(original)).norm()
    weights = {name: module.weight.detach() for name, module in original.named_modules() if hasattr(module, "weight")}
    wrapped = with_lora(loaded.model, args)
    for name, module in wrapped.named_modules():
        if hasattr(module, "lora_A"):
            weight = weights[name.removeprefix("base_model.model.")]
            error = weight - dequantize(module.get_base_layer())
            left = error - module.get_delta_weight("default")
            best = torch.linalg.svdvals(error)[64:].norm()
            torch.testing.assert_close(left.norm(), best, atol=1e-4, rtol=1e-2)
    if kind == "nf4":  # int8 rounds activations too, which no weight makes good
        assert (logits(wrapped) - logits(original)).norm() < before


def test_loftq_is_refused_on_weights_that_are_not_quantised() -> None:
    with pytest.raises(ModelError, match="isn't quantised"):
        with_lora(tiny_loaded().model, {**ARGS, "init_lora_weights": "loftq"})


def test_the_needs_that_are_measured_are_known() -> None:
    assert set(MEASURED) == {need for name in initializer_registry for need in parameters_of(initializer_registry[name])
                             if need in MEASURED}  # fmt: skip

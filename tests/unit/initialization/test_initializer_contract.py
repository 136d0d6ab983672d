"""What every initializer promises, whoever adds it to the registry."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from sft.errors import SftError
from sft.initialization.initializers import initializer_registry
from sft.initialization.initializers.base import MEASURED, parameters_of
from sft.initialization.utils import dequantize
from sft.prompting.labelled import IGNORED, LabelledIds
from tests.adapters import with_lora
from tests.tiny_models import random_ids, tiny_loaded

NAMES = list(initializer_registry)
RANK = 3
# Initialisations that change the model's first output say so here; none so far.
CHANGES_STEP_0: frozenset[str] = frozenset()
# Those that have no meaning on plain weights are tried on quantised ones, in files of their own.
NEEDS_A_QUANTISED_BASE = frozenset({"loftq"})
ROWS = [LabelledIds(ids, [IGNORED] * (len(ids) - 2) + ids[-2:]) for ids in random_ids([9, 5, 12])]


def made(name: str, layer: nn.Module, rank: int = RANK, **more: Any) -> dict[str, torch.Tensor]:
    """What the initializer makes, with whatever it asks for."""
    initializer = initializer_registry[name]
    n_out, n_in = dequantize(layer).shape
    generator = torch.Generator().manual_seed(0)
    measured = {
        "inputs": torch.randn(20, n_in, generator=generator),
        "gradient": torch.randn(n_out, n_in, generator=generator),
        "original": dequantize(layer) + 0.1 * torch.randn(n_out, n_in, generator=generator),
    }
    needs = {key: value for key, value in measured.items() if key in parameters_of(initializer)}
    return initializer(layer, rank, **needs, **more)


def linear(n_in: int, n_out: int, *, bias: bool = False, dtype: torch.dtype = torch.float32) -> nn.Linear:
    torch.manual_seed(n_in * 100 + n_out)
    return nn.Linear(n_in, n_out, bias=bias, dtype=dtype)


def conv1d(n_in: int, n_out: int) -> Conv1D:
    torch.manual_seed(n_in * 100 + n_out)
    layer = Conv1D(n_out, n_in)
    nn.init.normal_(layer.weight)
    return layer


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "wide": lambda: linear(12, 7),
    "tall": lambda: linear(7, 12, bias=True),
    "bfloat16": lambda: linear(12, 12, dtype=torch.bfloat16),
    "Conv1D": lambda: conv1d(12, 7),
}


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> nn.Module:
    return LAYERS[request.param]()


def test_the_registry_holds_those_that_are_promised() -> None:
    assert {"pca", "umap", "pissa", "milora", "olora", "eva", "lora_ga", "corda", "loftq"} <= set(NAMES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_the_factors_have_the_layers_shape_and_the_dtype_asked_for(
    name: str, dtype: torch.dtype, layer: nn.Module
) -> None:
    n_out, n_in = dequantize(layer).shape
    factors = made(name, layer, dtype=dtype)
    assert set(factors) == {"lora_A", "lora_B"}
    assert factors["lora_A"].shape == (RANK, n_in)
    assert factors["lora_B"].shape == (n_out, RANK)
    for factor in factors.values():
        assert factor.dtype == dtype
        assert torch.isfinite(factor).all()
        assert not factor.requires_grad
    assert factors["lora_A"].any(), "with both factors zero nothing would learn"


@pytest.mark.parametrize("name", NAMES)
def test_the_default_dtype_is_bfloat16(name: str) -> None:
    factors = made(name, linear(6, 6), 2)
    assert {factor.dtype for factor in factors.values()} == {torch.bfloat16}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_layer_gives_the_same_factors_whatever_was_drawn_before(name: str, layer: nn.Module) -> None:
    first = made(name, layer, dtype=torch.float32)
    torch.rand(7)
    second = made(name, copy.deepcopy(layer), dtype=torch.float32)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_the_layer_stays_as_it_is(name: str, layer: nn.Module) -> None:
    before = copy.deepcopy(layer.state_dict())
    factors = made(name, layer, dtype=torch.float32)
    for factor in factors.values():
        factor.fill_(9.0)  # would show through if a factor were a view of the weight
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_a_rank_that_the_layer_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(SftError, match="rank 9 "):
        made(name, linear(6, 8), 9)


@torch.no_grad()
def outputs(model: Any) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=torch.tensor(random_ids([9]))).logits
    return logits


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("name", sorted(set(NAMES) - NEEDS_A_QUANTISED_BASE))
def test_step_0_equals_the_base_model_unless_stated_otherwise(name: str, architecture: str) -> None:
    loaded = tiny_loaded(architecture)
    before = outputs(loaded.model)
    args = {"r": RANK, "lora_alpha": 16, "target_modules": "all-linear", "init_lora_weights": name}
    wrapped = with_lora(loaded.model, args, rows=ROWS).eval()
    same = torch.allclose(outputs(wrapped), before, atol=1e-4)
    assert same == (name not in CHANGES_STEP_0)


WEIGHTS_ALONE = [name for name in NAMES if not set(MEASURED) & set(parameters_of(initializer_registry[name]))]


@pytest.mark.parametrize("name", WEIGHTS_ALONE)
def test_its_factors_are_in_every_lora_layer_of_the_model(name: str) -> None:
    """Of a seed and a scaling other than the initializer's defaults."""
    from peft.tuners.lora import LoraLayer

    args = {"r": RANK, "lora_alpha": 2 * RANK, "target_modules": "all-linear", "init_lora_weights": name}
    wrapped = with_lora(tiny_loaded().model, args, seed=5)
    layers = [module for module in wrapped.modules() if isinstance(module, LoraLayer)]
    assert layers, "PEFT adapted no layer"
    parameters = parameters_of(initializer_registry[name])
    asked = {key: value for key, value in {"scaling": 2.0, "seed": 5}.items() if key in parameters}
    for module in layers:
        expected = made(name, module.get_base_layer(), dtype=torch.float32, **asked)
        assert torch.allclose(module.lora_A["default"].weight, expected["lora_A"], atol=1e-5)
        assert torch.allclose(module.lora_B["default"].weight, expected["lora_B"], atol=1e-5)
        assert module.lora_A["default"].weight.requires_grad

"""The adapter method `lora`: PEFT's arguments, our initialisations, a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sft.errors import SftError
from sft.initialization.initializers import initializer_registry
from tests.adapters import with_lora
from tests.tiny_models import tiny_loaded


def wrapped(architecture: str = "llama", **args: Any) -> Any:
    return with_lora(tiny_loaded(architecture).model, {"r": 2, **args})


def ones(layer: nn.Module, rank: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    n_out, n_in = layer.weight.shape
    return {"lora_A": torch.ones(rank, n_in, dtype=dtype), "lora_B": torch.zeros(n_out, rank, dtype=dtype)}


@pytest.fixture
def user_entry() -> Iterator[str]:
    initializer_registry["all ones"] = ones
    yield "all ones"
    del initializer_registry["all ones"]


def test_an_entry_added_by_assignment_is_used(user_entry: str) -> None:
    model = wrapped(init_lora_weights=user_entry)
    a_weights = [p for name, p in model.named_parameters() if "lora_A" in name]
    assert a_weights
    assert all((p == 1).all() for p in a_weights)


def test_an_entry_sees_the_base_layer_and_the_rank_of_each_layer() -> None:
    seen: set[tuple[str, int]] = set()

    def spy(layer: nn.Module, rank: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
        seen.add((type(layer).__name__, rank))
        return ones(layer, rank, dtype)

    initializer_registry["spy"] = spy
    try:
        wrapped(init_lora_weights="spy", target_modules=["q_proj", "v_proj"], rank_pattern={"v_proj": 5})
    finally:
        del initializer_registry["spy"]
    assert seen == {("Linear", 2), ("Linear", 5)}


def test_gpt2_layers_are_initialised_in_their_own_orientation() -> None:
    model = wrapped("gpt2", init_lora_weights="pca", target_modules=["c_attn"])
    layer = model.base_model.model.transformer.h[0].attn.c_attn
    assert layer.lora_A["default"].weight.shape == (2, 32)
    assert layer.lora_B["default"].weight.shape == (96, 2)


@pytest.mark.parametrize("init", [True, "gaussian", "olora"])
def test_initialisations_of_peft_itself_work(init: Any) -> None:
    model = wrapped(init_lora_weights=init)
    assert any(p.requires_grad for p in model.parameters())


def test_only_the_adapter_is_trainable_and_the_task_is_causal_language_modelling() -> None:
    model = wrapped()
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)
    assert model.peft_config["default"].task_type == "CAUSAL_LM"


@pytest.mark.parametrize(
    "args",
    [
        {"target_modules": ["no_such_module"]},
        {"r": 0},
        {"init_lora_weights": "no such initialisation"},
        {"bias": "sometimes"},
        {"no_such_argument": 1},
        {"init_lora_weights": "pca", "r": 33},
    ],
)
def test_arguments_that_cannot_be_are_an_error_of_the_user(args: dict[str, Any]) -> None:
    with pytest.raises(SftError):
        wrapped(**args)

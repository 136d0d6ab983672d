"""Residuals: training starts at the base model, and what is saved is a plain LoRA of the original base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from sft.config.schema import MethodConfig
from sft.errors import SftError
from sft.initialization.initializers import initializer_registry
from sft.training.attach import AttachedAdapter, attach
from tests.tiny_models import random_ids, tiny_loaded

IDS = torch.tensor(random_ids([12]))
ARGS: dict[str, Any] = {"r": 3, "lora_alpha": 12, "target_modules": "all-linear", "init_lora_weights": "pissa"}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 5}, "alpha_pattern": {"down_proj": 3}},
    "an embedding too": {"target_modules": ["q_proj", "embed_tokens"]},
    "residual named": {"init_lora_weights": {"method": "milora", "args": {"residual": True}}},
}


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(input_ids=IDS).logits


def attached(architecture: str = "llama", **more: Any) -> AttachedAdapter:
    return attach(tiny_loaded(architecture).model, MethodConfig(method="lora", args={**ARGS, **more}))


def trained(one: AttachedAdapter) -> AttachedAdapter:
    one.start()
    optimizer = torch.optim.SGD([p for p in one.model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(3):
        one.model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return one


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_finished_adapter_is_a_plain_lora_of_the_original_base(variant: str, tmp_path: Path) -> None:
    base = logits(tiny_loaded().model)
    one = trained(attached(**VARIANTS[variant]))
    in_training = logits(one.model)
    assert (in_training - base).abs().max() > 0.1, "the training changed nothing"
    one.finish()
    torch.testing.assert_close(logits(one.model), in_training, atol=1e-4, rtol=0)
    one.model.save_pretrained(tmp_path, save_embedding_layers=False)
    loaded = PeftModel.from_pretrained(tiny_loaded().model, tmp_path)
    torch.testing.assert_close(logits(loaded), in_training, atol=1e-4, rtol=0)
    torch.testing.assert_close(logits(loaded.merge_and_unload()), in_training, atol=1e-3, rtol=0)


def test_gpt2s_transposed_layers_fold_as_well(tmp_path: Path) -> None:
    one = trained(attached("gpt2", target_modules=["c_attn", "c_proj"], fan_in_fan_out=True))
    in_training = logits(one.model)
    one.finish()
    one.model.save_pretrained(tmp_path, save_embedding_layers=False)
    loaded = PeftModel.from_pretrained(tiny_loaded("gpt2").model, tmp_path)
    torch.testing.assert_close(logits(loaded), in_training, atol=1e-4, rtol=0)


def test_without_the_residual_the_model_starts_elsewhere_and_keeps_its_rank() -> None:
    base = logits(tiny_loaded().model)
    one = attached(init_lora_weights={"method": "pissa", "args": {"residual": False}})
    one.start()
    layer = one.model.base_model.model.model.layers[0].self_attn.q_proj
    weight = layer.base_layer.weight + layer.get_delta_weight("default")
    u, s, vh = torch.linalg.svd(layer.base_layer.weight, full_matrices=False)
    expected = layer.base_layer.weight + (u[:, :3] * s[:3]) @ vh[:3]
    torch.testing.assert_close(weight, expected, atol=1e-5, rtol=1e-4)
    assert (logits(one.model) - base).abs().max() > 0.1
    one.finish()
    assert one.model.peft_config["default"].r == 3


def test_in_16_bits_the_first_output_is_the_bases_up_to_rounding() -> None:
    model = tiny_loaded().model.to(torch.bfloat16)
    base = logits(model).float()
    one = attach(model, MethodConfig(method="lora", args=ARGS))
    one.start()
    assert (logits(one.model).float() - base).abs().max() < 0.05 * base.abs().max()


def test_dora_cannot_start_at_a_product_that_is_not_zero() -> None:
    with pytest.raises(SftError, match="use_dora"):
        attached(use_dora=True)
    attached(use_dora=True, init_lora_weights="pca")


def plus_one(layer: Any, rank: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, torch.Tensor]:
    """Of a user: no parameter tells that B isn't zero."""
    n_out, n_in = layer.weight.shape
    return {"lora_A": torch.ones(rank, n_in, dtype=dtype), "lora_B": torch.ones(n_out, rank, dtype=dtype)}


def test_what_dora_cannot_take_is_told_by_the_factors_and_not_by_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(initializer_registry._entries, "plus one", plus_one)
    attached(init_lora_weights="plus one")
    with pytest.raises(SftError, match="product that isn't zero"):
        attached(use_dora=True, init_lora_weights="plus one")


def test_an_initialisation_that_asks_for_two_measurements_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(layer: Any, rank: int, dtype: torch.dtype = torch.bfloat16, *, inputs: Any, gradient: Any) -> Any:
        raise AssertionError("never called")

    monkeypatch.setitem(initializer_registry._entries, "both", both)
    with pytest.raises(SftError, match="asks for inputs and gradient"):
        attached(init_lora_weights="both")

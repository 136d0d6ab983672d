"""A linear layer with LoRA in one function is PEFT's, in value and gradients; what it can't compute it leaves alone."""

from __future__ import annotations

from typing import Any

import peft
import pytest
import torch

from sft.training.fast.lora import LoraLinear, fused, fusible_layers
from tests.fakes import byte_tokenizer
from tests.tiny_models import random_ids, tiny_model


def with_lora(architecture: str = "llama", **arguments: Any) -> Any:
    config = peft.LoraConfig(task_type="CAUSAL_LM", **{"r": 4, "target_modules": "all-linear", **arguments})
    model = peft.get_peft_model(tiny_model(architecture, byte_tokenizer()), config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2, generator=generator)
    return model.train()


def outcome(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    logits = model(input_ids=torch.tensor(random_ids((11, 11))), use_cache=False).logits
    logits.float().square().mean().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return logits.detach(), gradients


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("llama", {}),
        ("llama", {"use_rslora": True, "lora_alpha": 3}),
        ("qwen2", {}),  # its projections have biases
        ("qwen2", {"bias": "lora_only"}),
        ("gemma2", {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"q_proj": 20}}),
        ("gpt_neox", {}),
        ("llama", {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["lm_head"]}),
    ],
)
def test_fused_layers_compute_what_peft_computes(architecture: str, arguments: dict[str, Any]) -> None:
    model = with_lora(architecture, **arguments)
    expected, wanted = outcome(model)
    layers, others = fusible_layers(model)
    assert layers
    assert (others > 0) == bool({"modules_to_save", "bias"} & arguments.keys())
    with fused(layers):
        assert all("forward" in vars(layer) for layer in layers)
        found, gradients = outcome(model)
    assert not any("forward" in vars(layer) for layer in layers)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert float((gradients[name] - gradient).norm() / gradient.norm()) < 1e-5, name


def test_gradients_are_those_of_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    x, a, b = (
        torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 3, 5), (2, 5), (4, 2))
    )
    weight, bias = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((4, 5), (4,)))

    def function(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return LoraLinear.apply(x, weight, bias, a, b, 1.7)  # type: ignore[no-untyped-call, no-any-return]

    # Gradients of the factors are given in float32, whatever they are computed in.
    torch.autograd.gradcheck(lambda x: function(x, a.detach(), b.detach()), x)
    function(x, a, b).square().sum().backward()
    plain_a, plain_b = (factor.detach().clone().requires_grad_() for factor in (a, b))
    (x.detach() @ weight.T + bias + 1.7 * (x.detach() @ plain_a.T) @ plain_b.T).square().sum().backward()
    for found, expected in ((a, plain_a), (b, plain_b)):
        assert found.grad is not None
        assert expected.grad is not None
        torch.testing.assert_close(found.grad, expected.grad, atol=1e-4, rtol=1e-5)


def test_factors_stay_in_float32_where_the_model_is_in_16_bits() -> None:
    model = with_lora().to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    expected, wanted = outcome(model)
    layers, others = fusible_layers(model)
    assert others == 0
    with fused(layers):
        found, gradients = outcome(model)
    assert found.dtype == torch.bfloat16
    assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
    # As far apart as roundings to 8 bits of mantissa bring them, through two layers.
    assert float((found.float() - expected.float()).norm() / expected.float().norm()) < 0.02
    flat, other = (torch.cat([g[name].flatten() for name in wanted]) for g in (gradients, wanted))
    assert float((flat - other).norm() / other.norm()) < 0.1


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("llama", {"lora_dropout": 0.1}),
        ("llama", {"use_dora": True}),
        ("qwen2", {"lora_bias": True, "target_modules": ["q_proj"]}),
        ("gpt2", {"fan_in_fan_out": True}),  # its layers are transposed
    ],
)
def test_other_kinds_are_left_to_peft(architecture: str, arguments: dict[str, Any]) -> None:
    layers, others = fusible_layers(with_lora(architecture, **arguments))
    assert layers == []
    assert others > 0


def test_merged_disabled_and_second_adapters_are_left_to_peft() -> None:
    model = with_lora()
    assert fusible_layers(model)[0]
    model.merge_adapter()
    assert fusible_layers(model)[0] == []
    model.unmerge_adapter()
    model.add_adapter("second", peft.LoraConfig(r=2, target_modules="all-linear"))
    assert fusible_layers(model)[0] == []

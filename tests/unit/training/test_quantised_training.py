"""Training on quantised layers: gradients are tried first, `all-linear` means all, an adapter that does nothing is an
error.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from sft.config.schema import MethodConfig
from sft.errors import TrainingError
from sft.models.load import LoadedModel
from sft.training.quantised import check_adapted, gradient_error, prepare_for_training
from tests.quantised_models import LINEAR_LAYERS, save_wide_model, wide_model
from tests.tiny_models import tiny_loaded
from tests.unit.models.test_load import load
from tests.unit.training.test_train import train

ALL_LINEAR = MethodConfig(method="lora", args={"r": 4, "target_modules": "all-linear"})
NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
INT8 = {"load_in_8bit": True}


class _Product(torch.autograd.Function):
    """x W^T, with a gradient that is off by a factor."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.factor = factor
        return x @ weight.T

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        (weight,) = ctx.saved_tensors
        return ctx.factor * grad @ weight, None, None


class Packed(nn.Module):
    """A quantised layer as libraries make them: no `nn.Linear`, buffers instead of a weight."""

    def __init__(self, linear: nn.Linear, mode: str) -> None:
        super().__init__()
        self.in_features, self.out_features, self._mode = linear.in_features, linear.out_features, mode
        self.register_buffer("qweight", linear.weight.detach().clone())

    def train(self, mode: bool = True) -> Packed:
        if mode and self._mode == "refusing":
            raise NotImplementedError("inference only")
        return super().train(mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight: Any = self.qweight
        if self._mode == "none":
            return (x.detach() @ weight.T).detach()
        if self._mode == "repacked" and not self.training:
            return x @ weight.flip(0).T
        return _Product.apply(x, weight, 1.5 if self._mode == "wrong" else 1.0)  # type: ignore[no-any-return,no-untyped-call]


def packed_model(mode: str) -> LoadedModel:
    model = wide_model()
    for name, module in list(model.named_modules()):
        if name.endswith("_proj"):
            model.set_submodule(name, Packed(module, mode))
    return tiny_loaded(model=model)


def test_an_exact_gradient_is_found_exact() -> None:
    assert gradient_error(Packed(nn.Linear(32, 16), "right"), torch.float32) < 1e-5
    assert gradient_error(nn.Linear(32, 16), torch.float32) < 1e-5  # with a bias


@pytest.mark.parametrize(
    ("mode", "match"),
    [("wrong", "wrong by 50%"), ("none", "no gradient"), ("repacked", "wrong by 1"), ("refusing", "inference only")],
)
def test_layers_with_a_wrong_gradient_are_refused_before_training(mode: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=rf"can't train on model\.layers\.0\.(.|\n)*{match}"):
        train(packed_model(mode), tmp_path)


def test_trying_gradients_leaves_layers_in_their_mode_and_the_generator_alone() -> None:
    layer = Packed(nn.Linear(8, 8), "right").eval()
    before = torch.get_rng_state()
    gradient_error(layer, torch.float32)
    assert not layer.training
    assert torch.equal(torch.get_rng_state(), before)


def test_all_linear_names_layers_that_are_no_linear_modules() -> None:
    """As PEFT does for ordinary ones: all but the head. PEFT itself finds none of these."""
    adapter = prepare_for_training(packed_model("right"), ALL_LINEAR)
    names = adapter.args["target_modules"]
    assert len(names) == LINEAR_LAYERS
    assert "lm_head" not in names
    assert ALL_LINEAR.args["target_modules"] == "all-linear"


@pytest.mark.parametrize("target", [["q_proj"], "q_proj|v_proj", None])
def test_other_targets_are_left_alone(target: Any) -> None:
    adapter = MethodConfig(method="lora", args={"target_modules": target})
    assert prepare_for_training(packed_model("right"), adapter) is adapter


def test_ordinary_models_are_left_alone() -> None:
    assert prepare_for_training(tiny_loaded(), ALL_LINEAR) is ALL_LINEAR


@pytest.mark.parametrize("variant", ["kasa_config", "monteclora_config"])
@pytest.mark.parametrize("args", [NF4, INT8], ids=["nf4", "int8"])
def test_variants_that_would_be_plain_lora_on_quantised_layers_are_refused(
    args: dict[str, Any], variant: str, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    base = save_wide_model(tmp_path / "base", dtype=torch.bfloat16)
    loaded = load(base, quantization={"config_class": "BitsAndBytesConfig", "args": args})
    with pytest.raises(TrainingError, match=r"would be plain LoRA on the quantised layer(.|\n)*Variant"):
        train(loaded, tmp_path / "out", lora={"r": 4, "target_modules": ["q_proj"], variant: {}})


@pytest.mark.parametrize("more", [{}, {"use_dora": True}, {"use_rslora": True}])
def test_variants_that_peft_has_for_quantised_layers_are_trained(more: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    base = save_wide_model(tmp_path / "base", dtype=torch.bfloat16)
    loaded = load(base, quantization={"config_class": "BitsAndBytesConfig", "args": NF4})
    assert train(loaded, tmp_path / "out", lora={"r": 4, "target_modules": ["q_proj"], **more}).steps == 3


def test_weights_that_transformers_does_not_train_are_refused(tmp_path: Path) -> None:
    loaded = packed_model("right")
    loaded.model.hf_quantizer = SimpleNamespace(is_trainable=False, quantization_config=SimpleNamespace(quant_type=1))
    with pytest.raises(TrainingError, match="can't train on these weights: transformers trains on none of int"):
        train(loaded, tmp_path)


def test_an_adapter_that_trains_part_of_the_quantised_layers_is_refused() -> None:
    from peft import LoraConfig, get_peft_model

    model = wide_model()
    target = model.model.layers[1].mlp.up_proj
    target.weight = nn.Parameter(torch.zeros(1, dtype=torch.uint8), requires_grad=False)  # looks quantised
    wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "up_proj"], task_type="CAUSAL_LM"))
    check_adapted(wrapped, "lora")
    for name, parameter in wrapped.named_parameters():
        if "layers.1.mlp.up_proj" in name:
            parameter.requires_grad_(False)
    with pytest.raises(TrainingError, match=r"quantised layer .*layers\.1\.mlp\.up_proj"):
        check_adapted(wrapped, "lora")


def test_torchao_layers_that_round_activations_are_refused(tmp_path: Path) -> None:
    """They run, and pass no gradient: the layers below would be trained by what goes round them only."""
    pytest.importorskip("torchao", reason="torchao is not installed")
    base = save_wide_model(tmp_path / "base", dtype=torch.bfloat16)
    args = {"quant_type": "Int8DynamicActivationInt8WeightConfig"}
    loaded = load(base, quantization={"config_class": "TorchAoConfig", "args": args})
    with pytest.raises(TrainingError, match="no gradient"):
        train(loaded, tmp_path / "out", lora={"r": 4, "target_modules": "all-linear"})

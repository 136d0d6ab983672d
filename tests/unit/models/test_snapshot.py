"""What a snapshot of a model notices, and what it puts back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sft.models.snapshot import ModelSnapshot
from tests.quantised_models import save_wide_model
from tests.tiny_models import tiny_loaded
from tests.unit.models.described_model import described, differences
from tests.unit.models.test_load import load

CHANGED = "the base model's weights changed"


def add_to_one(weight: Tensor) -> None:
    flat = weight.view(-1)
    flat[-1] += 1


def swap_two(weight: Tensor) -> None:
    flat = weight.view(-1)
    flat[0], flat[-1] = flat[-1].clone(), flat[0].clone()


def swap_neighbours(weight: Tensor) -> None:
    flat = weight.view(-1)
    flat[-2], flat[-1] = flat[-1].clone(), flat[-2].clone()


def negate(weight: Tensor) -> None:
    weight.neg_()


CHANGES = [add_to_one, swap_two, swap_neighbours, negate]


def layer(size: int, dtype: torch.dtype) -> nn.Module:
    module = nn.Module()
    values = torch.arange(1, size + 1).to(dtype)
    module.register_parameter("weight", nn.Parameter(values, requires_grad=False))
    return module


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int8])
@pytest.mark.parametrize("size", [2, 3, 7, 8, 9, 64, 101])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_of_a_weight_is_noticed(change: Callable[[Tensor], None], size: int, dtype: torch.dtype) -> None:
    module: Any = layer(size, dtype)
    snapshot = ModelSnapshot(module)
    assert snapshot.restore() is None
    change(module.weight)
    assert snapshot.restore() == CHANGED


def test_a_change_is_noticed_where_a_weight_is_a_part_of_another_tensor() -> None:
    module: Any = nn.Module()
    module.weight = nn.Parameter(torch.arange(20.0)[1:18], requires_grad=False)
    snapshot = ModelSnapshot(module)
    assert snapshot.restore() is None
    module.weight[3] += 1
    assert snapshot.restore() == CHANGED


def test_a_change_is_noticed_in_every_chunk_of_a_big_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft.models.snapshot._CHUNK", 8)
    for place in range(0, 100, 7):
        module: Any = layer(100, torch.float32)
        snapshot = ModelSnapshot(module)
        module.weight[place] += 1
        assert snapshot.restore() == CHANGED


def test_another_dtype_is_noticed_and_a_changed_buffer() -> None:
    model = tiny_loaded().model
    snapshot = ModelSnapshot(model)
    model.model.layers[0].mlp.up_proj.weight.data = model.model.layers[0].mlp.up_proj.weight.data.to(torch.bfloat16)
    assert snapshot.restore() == CHANGED
    model = tiny_loaded().model
    snapshot = ModelSnapshot(model)
    name, buffer = next(iter(model.named_buffers()))
    assert "rotary" in name
    buffer[0] += 1
    assert snapshot.restore() == CHANGED


def bits_and_bytes(**args: Any) -> dict[str, Any]:
    pytest.importorskip("bitsandbytes")
    return {"config_class": "BitsAndBytesConfig", "args": args}


def torchao() -> dict[str, Any]:
    pytest.importorskip("torchao")
    return {"config_class": "TorchAoConfig", "args": {"quant_type": "Int8WeightOnlyConfig"}}


NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
DOUBLE = {**NF4, "bnb_4bit_use_double_quant": True}
QUANTISED: list[tuple[Callable[[], dict[str, Any]], Callable[[Any], Tensor]]] = [
    (lambda: bits_and_bytes(**NF4), lambda weight: weight.data),
    (lambda: bits_and_bytes(**NF4), lambda weight: weight.quant_state.absmax),
    (lambda: bits_and_bytes(**DOUBLE), lambda weight: weight.quant_state.absmax),
    (lambda: bits_and_bytes(**DOUBLE), lambda weight: weight.quant_state.state2.absmax),
    (lambda: bits_and_bytes(load_in_8bit=True), lambda weight: weight.data),
    (lambda: bits_and_bytes(load_in_8bit=True), lambda weight: weight.SCB),
    (torchao, lambda weight: weight.qdata),
    (torchao, lambda weight: weight.scale),
]


@pytest.mark.parametrize("change", [add_to_one, swap_two], ids=lambda change: change.__name__)
@pytest.mark.parametrize(("quantization", "part"), QUANTISED, ids=range(len(QUANTISED)))
def test_a_change_of_a_quantised_weight_is_noticed(
    quantization: Callable[[], dict[str, Any]],
    part: Callable[[Any], Tensor],
    change: Callable[[Tensor], None],
    tmp_path: Path,
) -> None:
    model = load(save_wide_model(tmp_path), quantization=quantization()).model
    snapshot = ModelSnapshot(model)
    weight = model.model.layers[1].self_attn.v_proj.weight
    changed = part(weight)
    described(model)
    assert snapshot.restore() is None
    with torch.no_grad():
        before = changed.clone()
        change(changed)
        assert changed.numel() == 1 or not torch.equal(before, changed)
        expected = None if torch.equal(before, changed) else CHANGED
    assert snapshot.restore() == expected


def test_attributes_hooks_flags_and_configs_are_put_back() -> None:
    loaded = tiny_loaded()
    model, before = loaded.model, described(loaded.model)
    snapshot = ModelSnapshot(model)
    for _ in range(2):
        first = model.model.layers[0]
        first.mlp = nn.Identity()
        first.self_attn.q_proj.register_forward_hook(lambda module, inputs, output: output + 1)
        model.register_forward_pre_hook(lambda module, inputs: None)
        model.forward = lambda *args, **kwargs: None
        model.train().requires_grad_(True)
        model.model.norm.register_buffer("more", torch.zeros(1))
        model.lm_head.weight.grad = torch.ones_like(model.lm_head.weight)
        model.config.use_cache = False
        model.config.rope_parameters["rope_theta"] = 1.0
        model.generation_config.do_sample = True
        model.generation_config.pad_token_id = 3
        model.peft_config = {}
        del model.config.pad_token_id
        assert snapshot.restore() is None
        assert not differences(before, described(model))
        assert model.model.config is model.config

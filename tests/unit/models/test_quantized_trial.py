"""Quantised layers are tried when they are loaded."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from sft.errors import ModelError
from sft.models.quantized.trial import check_forward
from tests.quantised_models import save_wide_model
from tests.unit.models.test_load import load


class Picky(nn.Module):
    """A layer of 8-bit weights that multiplies numbers of one type only."""

    def __init__(self, in_features: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features, self._dtype = in_features, 3, dtype
        self.register_buffer("qweight", torch.ones(3, in_features, dtype=torch.int8))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if x.dtype != self._dtype:
            raise AssertionError  # as kernels do it, without a word
        return x @ self.qweight.T.to(x.dtype)


class Model(nn.Module):
    dtype = torch.float32

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


def test_a_layer_that_refuses_the_type_of_the_model_is_named_with_its_shape() -> None:
    model = Model(Picky(8, torch.float32), Picky(16, torch.float16))
    with pytest.raises(
        ModelError, match=r"Picky layers\.1 \(16 → 3\) can't compute in float32: AssertionError"
    ) as caught:
        check_forward(model)
    assert "dtype" in str(caught.value)


def test_one_layer_of_each_shape_is_tried_once() -> None:
    layers = [Picky(8, torch.float32), Picky(8, torch.float32), Picky(16, torch.float32)]
    check_forward(Model(*layers))
    assert [layer.calls for layer in layers] == [1, 0, 1]


def test_layers_on_disk_or_of_no_known_width_are_left_alone() -> None:
    offloaded, unknown = Picky(8, torch.float16), Picky(8, torch.float16)
    offloaded.qweight = offloaded.qweight.to("meta")
    del unknown.in_features
    check_forward(Model(offloaded, unknown))
    assert offloaded.calls == unknown.calls == 0


@pytest.mark.parametrize(
    ("quant_type", "warns"), [("Int8WeightOnlyConfig", False), ("Int8DynamicActivationInt8WeightConfig", True)]
)
def test_weights_of_torchao_that_round_activations_say_so(
    quant_type: str, warns: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    quantization = {"config_class": "TorchAoConfig", "args": {"quant_type": quant_type}}
    with caplog.at_level(logging.WARNING, "sft"):
        load(save_wide_model(tmp_path, dtype=torch.bfloat16), quantization=quantization)
    said = [message for message in caplog.messages if f"{quant_type} rounds" in message]
    assert len(said) == warns

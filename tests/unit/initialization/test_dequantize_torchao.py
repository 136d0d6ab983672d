"""torchao weights: what is read is what the layer multiplies with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sft.initialization.utils import dequantize

torchao = pytest.importorskip("torchao.quantization", reason="torchao is not installed")


@pytest.mark.parametrize(
    ("config", "tolerance"),
    [("Int8WeightOnlyConfig", 0.01), ("Int8DynamicActivationInt8WeightConfig", 0.01), ("Float8WeightOnlyConfig", 0.04)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weight_is_what_the_layer_multiplies_with(config: str, tolerance: float, dtype: torch.dtype) -> None:
    layer: Any = nn.Linear(128, 64, bias=False, dtype=dtype)
    weight = layer.weight.detach().float()
    torchao.quantize_(layer, getattr(torchao, config)())
    found = dequantize(layer)
    assert type(layer) is nn.Linear
    assert type(found) is torch.Tensor
    assert not torch.equal(found, weight)
    assert (found - weight).norm() / weight.norm() < tolerance
    by_forward = layer(torch.eye(128, dtype=dtype)).T.float()
    torch.testing.assert_close(by_forward, found, rtol=0.01, atol=1e-4)

"""torchao: an ordinary layer, whose weight is a tensor of a class that knows its own meaning."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sft.initialization.dequantizers.base import dequantizer_registry


@dequantizer_registry.register("TorchAOBaseTensor")
def torchao(layer: Any) -> Tensor:
    weight: Tensor = layer.weight.dequantize()
    return weight

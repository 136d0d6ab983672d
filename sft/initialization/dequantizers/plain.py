"""Layers that aren't quantised: `nn.Linear`, and GPT-2's `Conv1D`, which stores its weight transposed."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sft.initialization.dequantizers.base import dequantizer_registry


@dequantizer_registry.register("Linear")
def linear(layer: Any) -> Tensor:
    weight: Tensor = layer.weight
    return weight


@dequantizer_registry.register("Conv1D")
def conv1d(layer: Any) -> Tensor:
    weight: Tensor = layer.weight
    return weight.T

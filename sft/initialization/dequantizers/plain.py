"""Layers that aren't quantised: `nn.Linear`, and GPT-2's `Conv1D`, which stores its weight transposed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sft.errors import SftError
from sft.initialization.dequantizers.base import dequantizer_registry


@dequantizer_registry.register("Linear")
def linear(layer: Any) -> Tensor:
    """Raises `SftError` for a weight of integers or 8-bit floats: what they mean depends on scales stored elsewhere."""
    weight: Tensor = layer.weight
    if weight.dtype not in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        raise SftError(
            f"can't read the weight of a layer of class {type(layer).__name__}: it is {weight.dtype}",
            "register a dequantizer for the class of the layer",
        )
    return weight


@dequantizer_registry.register("Conv1D")
def conv1d(layer: Any) -> Tensor:
    return linear(layer).T

"""Which layers of a model are quantised."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

_FULL_TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class NamedLayer(NamedTuple):
    name: str
    layer: Any


def quantised_layers(model: Any) -> list[NamedLayer]:
    """In the model's order, inside adapters too."""
    return [NamedLayer(name, module) for name, module in model.named_modules() if is_quantised(module)]


def is_quantised(module: Any) -> bool:
    """Whether a module's own weight is stored in few bits, or was so in the checkpoint and isn't used as it is."""
    if hasattr(module, "base_layer"):  # an adapter shows the weight of the layer that it wraps
        return False
    if hasattr(module, "qweight") or hasattr(module, "quantization_scheme"):
        return True
    weight = module._parameters.get("weight")
    return weight is not None and (weight.dtype not in _FULL_TYPES or type(weight) is not nn.Parameter)


def parameter_count(model: Any) -> int:
    """The weights of a model; those of quantised linear layers, however they are packed, as what they stand for."""
    linear = [layer for _, layer in quantised_layers(model) if hasattr(layer, "in_features")]
    packed = {id(layer._parameters.get("weight")) for layer in linear}
    others: int = sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in packed)
    return others + sum(int(layer.in_features * layer.out_features) for layer in linear)

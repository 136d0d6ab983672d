"""Quantised layers that can't compute say so when they are loaded, not in the middle of a run."""

from __future__ import annotations

from typing import Any

import torch

from sft.errors import ModelError
from sft.models.quantized.layers import quantised_layers

_ROWS = 32


@torch.no_grad()
def check_forward(model: Any) -> None:
    """Try one layer of each kind on numbers of the model's type.

    Raises `ModelError` with the kernel's own reason (a type that it doesn't compute in, a width that it doesn't take),
    which it would otherwise give in its own words, as an assertion for example.
    """
    tried = set()
    for name, layer in quantised_layers(model):
        weight = layer._parameters.get("weight")
        kind = (type(layer), type(weight), getattr(layer, "in_features", None), getattr(layer, "out_features", None))
        tensor = next(iter(layer.state_dict().values()), None)
        if kind in tried or kind[2] is None or tensor is None or tensor.is_meta:
            continue
        tried.add(kind)
        try:
            layer(torch.ones(_ROWS, kind[2], dtype=model.dtype, device=tensor.device))
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:  # each kernel raises its own
            raise ModelError(
                f"the quantised {type(layer).__name__} {name} ({kind[2]} → {kind[3]}) can't compute in "
                f"{str(model.dtype).removeprefix('torch.')}: {str(error) or type(error).__name__}",
                "set model.model_args.dtype, or choose another backend or type in model.quantization.args",
            ) from error

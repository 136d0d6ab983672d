"""Reading a layer's weight, whatever the layer is."""

from __future__ import annotations

from torch import Tensor, nn

from sft.errors import SftError
from sft.initialization.dequantizers import dequantizer_registry


def dequantize(layer: nn.Module) -> Tensor:
    """The weight of a layer as float32 `[out, in]`, detached.

    Raises `SftError` for a layer class that no dequantizer knows.
    """
    for name in (cls.__name__ for cls in type(layer).__mro__):
        if name in dequantizer_registry:
            return dequantizer_registry[name](layer).detach().float()
    raise SftError(
        f"can't read the weight of a layer of class {type(layer).__name__}",
        f"known: {', '.join(dequantizer_registry)}; register a dequantizer for it",
    )

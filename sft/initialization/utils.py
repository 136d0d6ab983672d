"""Reading a layer's weight, whatever the layer is."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from sft.errors import SftError
from sft.initialization.dequantizers import dequantizer_registry


def dequantize(layer: nn.Module) -> Tensor:
    """The weight of a layer as float32 `[out, in]`, detached; the layer stays as it is.

    Raises `SftError` for a layer that no dequantizer knows, or whose buffers a kernel has repacked.
    """
    for name in _class_names(layer):
        if name in dequantizer_registry:
            return dequantizer_registry[name](layer).detach().float()
    raise SftError(
        f"can't read the weight of a layer of class {type(layer).__name__}",
        f"known: {', '.join(dequantizer_registry)}; register a dequantizer for it",
    )


def _class_names(layer: nn.Module) -> Iterator[str]:
    """Classes by which a layer may be known, the most telling first.

    Libraries quantise by a layer class of their own, by a class of the weight (torchao), or by a scheme that they hang
    on an ordinary layer (compressed-tensors).
    """
    for part in (getattr(layer, "quantization_scheme", None), getattr(layer, "weight", None), layer):
        yield from (cls.__name__ for cls in type(part).__mro__)

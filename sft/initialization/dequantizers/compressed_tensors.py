"""compressed-tensors: an ordinary layer with a scheme, whose parameters are compressed until the first forward."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sft.initialization.dequantizers.base import dequantizer_registry
from sft.initialization.dequantizers.plain import linear


@dequantizer_registry.register("QuantizationScheme")
def compressed_tensors(layer: Any) -> Tensor:
    """The library's own decompression, on a copy of the parameters."""
    if str(getattr(layer.quantization_status, "value", "")) != "compressed":
        return linear(layer)
    from compressed_tensors.compressors import BaseCompressor

    scheme = layer.quantization_scheme
    parameters = {name: value.detach() for name, value in layer.named_parameters(recurse=False)}
    parameters |= dict(layer.named_buffers(recurse=False))
    compressor = BaseCompressor.get_value_from_registry(getattr(scheme.format, "value", scheme.format))
    weight: Tensor = compressor.decompress(parameters, scheme)["weight"]
    return weight

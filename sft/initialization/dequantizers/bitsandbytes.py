"""bitsandbytes: 8 bits with one scale per row; nf4 and fp4 in blocks, whose scales may be quantised again.

It stores every weight `[out, in]`: transformers transposes GPT-2's when it quantises them.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sft.errors import SftError
from sft.initialization.dequantizers.base import dequantizer_registry


@dequantizer_registry.register("Linear4bit")
def linear_4bit(layer: Any) -> Tensor:
    """Raises `SftError` for a weight that an evaluation on an AVX512-BF16 CPU has repacked."""
    from bitsandbytes.functional import dequantize_4bit

    weight, state = layer.weight, layer.weight.quant_state
    if state is None:  # not quantised yet: that happens on the way to a device
        full: Tensor = weight.data
        return full
    if getattr(state, "packing_format_for_cpu", False):
        raise SftError(
            "can't read a 4-bit weight that bitsandbytes has repacked for the CPU",
            "set `support_avx512bf16_for_cpu = False` on the layer before its first forward",
        )
    result: Tensor = dequantize_4bit(weight.data, state)
    return result


@dequantizer_registry.register("Linear8bitLt")
def linear_8bit(layer: Any) -> Tensor:
    """The scales are on the weight at first; the first forward moves them to the layer's state."""
    from bitsandbytes.functional import int8_vectorwise_dequant

    weight = layer.weight
    scales = layer.state.SCB if getattr(weight, "SCB", None) is None else weight.SCB
    if scales is None:
        full: Tensor = weight.data
        return full
    result: Tensor = int8_vectorwise_dequant(weight.data, scales)
    return result

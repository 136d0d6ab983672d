"""AWQ (Lin et al. 2023, arXiv 2306.00978) in its GEMM packing: 4 bits, a scale and a zero point per group of inputs.

qweight int32 `[in, out / 8]`, qzeros int32 `[groups, out / 8]`, scales `[groups, out]`; eight columns lie in a word in
the order in which the CUDA kernel takes them out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sft.errors import SftError
from sft.initialization.dequantizers.base import dequantizer_registry
from sft.initialization.packed_integers import unpack_columns

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
_BITS = 4


# GPTQModel's classes, their names before its version 6, and AutoAWQ's.
@dequantizer_registry.register("AwqTorchLinear")
@dequantizer_registry.register("AwqGEMMLinear")
@dequantizer_registry.register("AwqGEMMTritonLinear")
@dequantizer_registry.register("AwqTorchQuantLinear")
@dequantizer_registry.register("AwqGEMMQuantLinear")
@dequantizer_registry.register("WQLinear_GEMM")
def awq(layer: Any) -> Tensor:
    """Raises `SftError` for another packing than GEMM's: some kernels rewrite the buffers on first use."""
    qweight, scales = layer.qweight, layer.scales
    groups, n_out = scales.shape
    n_in = qweight.shape[0]
    if qweight.dtype != torch.int32 or qweight.shape[1] * 8 != n_out or n_in % groups:
        raise SftError(
            f"can't read an AWQ weight of {tuple(qweight.shape)} {qweight.dtype} with scales {tuple(scales.shape)}",
            "load it with the backend `torch_awq`, which keeps the checkpoint's packing",
        )
    per_group = n_in // groups
    integers = unpack_columns(qweight, _BITS, ORDER)
    zeros = unpack_columns(layer.qzeros, _BITS, ORDER).repeat_interleave(per_group, dim=0)
    weight: Tensor = (integers - zeros) * scales.float().repeat_interleave(per_group, dim=0)
    return weight.T

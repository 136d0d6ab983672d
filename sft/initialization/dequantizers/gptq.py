"""GPTQ (Frantar et al. 2022, arXiv 2210.17323): 2, 4 or 8 bits, a scale and a zero point per group of inputs.

qweight int32 `[in * bits / 32, out]`, qzeros int32 `[groups, out * bits / 32]`, scales `[groups, out]`; g_idx `[in]`
says which group an input is in. Version 1 of the file format stores zero points less one; in memory these layers hold
them as they are, whatever the file has.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sft.errors import SftError
from sft.initialization.dequantizers.base import dequantizer_registry
from sft.initialization.packed_integers import unpack_columns, unpack_rows


# GPTQModel's class (its Triton one derives from it), and its name before version 6.
@dequantizer_registry.register("TorchLinear")
@dequantizer_registry.register("TorchQuantLinear")
def gptq(layer: Any) -> Tensor:
    """Raises `SftError` for 3, 5, 6 or 7 bits, which straddle words, and for buffers that a kernel has rewritten."""
    bits, qweight, scales = layer.bits, layer.qweight, layer.scales
    groups = layer.g_idx.long()
    if 32 % bits or qweight.dtype != torch.int32 or qweight.shape != (len(groups) * bits // 32, scales.shape[1]):
        raise SftError(
            f"can't read a GPTQ weight of {bits} bits as {tuple(qweight.shape)} {qweight.dtype} "
            f"with scales {tuple(scales.shape)}",
            "2, 4 and 8 bits can be read; load them with the backend `torch`, which keeps the checkpoint's packing",
        )
    integers = unpack_rows(qweight, bits)
    zeros = unpack_columns(layer.qzeros, bits)[:, : scales.shape[1]]
    weight: Tensor = (integers - zeros[groups]) * scales.float()[groups]
    return weight.T

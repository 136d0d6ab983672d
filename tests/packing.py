"""Packing integers as AWQ and GPTQ checkpoints store them, word by word in plain Python: the truth for unpacking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def word(fields: Sequence[int], bits: int) -> int:
    """A signed 32-bit integer that holds the fields, the first in the lowest bits."""
    value = sum(field << (bits * place) for place, field in enumerate(fields))
    return value - 2**32 if value >= 2**31 else value


def pack_columns(integers: torch.Tensor, bits: int, order: Sequence[int] | None = None) -> torch.Tensor:
    """`[rows, columns]` → int32 `[rows, columns * bits / 32]`. order: the column that each field holds."""
    per_word = 32 // bits
    order = range(per_word) if order is None else order
    words = [
        [word([row[start + column] for column in order], bits) for start in range(0, len(row), per_word)]
        for row in integers.tolist()
    ]
    return torch.tensor(words, dtype=torch.int32)


class Packed(NamedTuple):
    """weight: float32 `[out, in]`, what the buffers mean. buffers: as a layer and a checkpoint have them."""

    weight: torch.Tensor
    buffers: dict[str, torch.Tensor]


def pack_awq(weight: torch.Tensor, group_size: int) -> Packed:
    """Quantise `[out, in]` to 4 bits in groups of inputs, and pack it the way of GEMM."""
    integers, zeros, scales = _quantise(weight, group_size, 4)
    groups = torch.arange(weight.shape[1]) // group_size
    buffers = {
        "qweight": pack_columns(integers, 4, AWQ_ORDER),
        "qzeros": pack_columns(zeros, 4, AWQ_ORDER),
        "scales": scales,
    }
    return Packed(_mean(integers, zeros, scales, groups), buffers)


def pack_gptq(weight: torch.Tensor, group_size: int, bits: int = 4, *, less_one: bool = False) -> Packed:
    """Quantise `[out, in]` in groups of inputs that don't lie together (act-order), and pack it.

    less_one: store zero points less one, as version 1 of the file format does.
    """
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.randperm(weight.shape[1], generator=generator)
    groups = torch.empty(weight.shape[1], dtype=torch.long)
    groups[shuffled] = torch.arange(weight.shape[1]) // group_size
    sorted_integers, zeros, scales = _quantise(weight[:, shuffled], group_size, bits)
    if less_one:
        zeros = zeros.clamp(min=1)
    integers = torch.empty_like(sorted_integers)
    integers[shuffled] = sorted_integers
    buffers = {
        "qweight": pack_columns(integers.T, bits).T.contiguous(),
        "qzeros": pack_columns(zeros - int(less_one), bits),
        "scales": scales,
        "g_idx": groups.int(),
    }
    return Packed(_mean(integers, zeros, scales, groups), buffers)


def _quantise(weight: torch.Tensor, group_size: int, bits: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Integers `[in, out]`, zero points and float16 scales `[groups, out]`."""
    values = weight.T.float().reshape(-1, group_size, weight.shape[0])
    low, high = values.amin(dim=1), values.amax(dim=1)
    scales = ((high - low).clamp(min=1e-5) / (2**bits - 1)).half()
    zeros = (-low / scales.float()).round().clamp(0, 2**bits - 1).int()
    integers = ((values / scales.float()[:, None]).round() + zeros[:, None]).clamp(0, 2**bits - 1).int()
    return integers.reshape(weight.shape[1], -1), zeros, scales


def _mean(integers: torch.Tensor, zeros: torch.Tensor, scales: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    return ((integers - zeros[groups]).float() * scales.float()[groups]).T.contiguous()


def layer_with(class_name: str, buffers: dict[str, torch.Tensor], **attributes: Any) -> nn.Module:
    """A layer that has the class name, the buffers and the attributes of a library's, and nothing else."""
    layer: nn.Module = type(class_name, (nn.Module,), {})()
    for name, value in buffers.items():
        layer.register_buffer(name, value)
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer

"""What an initializer is."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from sft.registry import Registry


class Initializer(Protocol):
    """Low-rank factors for a layer of weight `[out, in]`: `lora_A` `[rank, in]` and `lora_B` `[out, rank]` in `dtype`.

    Computes in float32, casts at the end, leaves the layer as it is, gives the same factors for the same layer.
    """

    def __call__(self, layer: nn.Module, rank: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]: ...


initializer_registry: Registry[Initializer] = Registry("initialisation")

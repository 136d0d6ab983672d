"""Small integers packed into 32-bit ones, as AWQ and GPTQ checkpoints store them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def unpack_columns(packed: Tensor, bits: int, order: Sequence[int] | None = None) -> Tensor:
    """int32 `[rows, columns / n]` → int32 `[rows, columns]`, n = 32 / bits integers in each, lowest bits first.

    order: which of n neighbouring columns each of the n fields holds; default the columns in turn.
    """
    per_word = 32 // bits
    order = range(per_word) if order is None else order
    fields = [(packed >> (bits * order.index(column))) & (2**bits - 1) for column in range(per_word)]
    return torch.stack(fields, dim=-1).flatten(start_dim=1)


def unpack_rows(packed: Tensor, bits: int) -> Tensor:
    """int32 `[rows / n, columns]` → int32 `[rows, columns]`."""
    return unpack_columns(packed.T, bits).T

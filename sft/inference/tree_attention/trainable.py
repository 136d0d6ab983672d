"""Attention of a packed batch through which gradients flow: no shared prefix, no kernel without a backward pass."""

from __future__ import annotations

import torch
from torch import Tensor

from sft.inference.tree_attention.kernels import math_attend, repeated
from sft.inference.tree_attention.layout import Layout


def trainable_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    *,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
    dropout: float = 0.0,
) -> Tensor:
    """query [1, H, T, d], key and value [1, H_kv, T, d]; returns [T, H, d]. sinks: [H], see `tree_attention`.
    dropout: of attention weights.

    torch's own attention takes a log-sum-exp for a constant, so that sinks go by the definition, as soft-capping does.
    """
    mask = layout.local_mask(window)
    query, key, value = (layout.by_document(x) for x in (query, key, value))
    if softcap is not None or sinks is not None or key.shape[-1] != value.shape[-1]:
        output, lse = math_attend(query, key, value, scale, mask, mask is None, softcap, dropout)
        if sinks is not None:
            output = output * torch.sigmoid(lse - sinks[:, None])[..., None].to(output.dtype)
    else:
        groups = query.shape[1] // key.shape[1]
        output = torch.nn.functional.scaled_dot_product_attention(
            query,
            repeated(key, groups),
            repeated(value, groups),
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scale,
        )
    return layout.end_to_end(output)

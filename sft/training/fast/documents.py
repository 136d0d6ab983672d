"""Attention within the documents of one flat row, as an attention implementation of transformers named `sft_documents`.

Sequences of a batch stand one after the other, without padding, each with positions of its own from 0. A model whose
layers go through transformers' attention interface runs unchanged: its own projections, positions, window and
soft-capping reach this function, and where the documents are comes as an argument of the model's forward pass, so
that layers that are computed again in the backward pass (gradient checkpointing) get it too.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sft.inference.backbone import refuse_own_masks
from sft.inference.tree_attention.kernels import math_attend, repeated

NAME = "sft_documents"
_LARGEST_HEAD = 256  # of torch's flash attention


@dataclass(frozen=True)
class Documents:
    """Where the documents of a flat row are.

    lengths: of each, in tokens. starts: [documents + 1] int32, where each begins and the last ends, on the model's
    device. longest: an upper bound of the lengths.
    """

    lengths: Sequence[int]
    starts: Tensor
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Documents:
        starts = torch.tensor([0, *lengths]).cumsum(0).to(device, torch.int32)
        return cls(tuple(lengths), starts, max(lengths))


def document_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    documents: Documents,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The signature of transformers' attention functions. query: [1, H, T, d]; returns [1, T, H, d_v].

    s_aux: [H], a logit per head that takes part in the softmax and has no value (attention sinks).
    """
    refuse_own_masks(module, attention_mask, position_bias)
    if not query.is_meta and torch.is_autocast_enabled(query.device.type):  # as torch's attention is computed there
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = sliding_window or None
    if _has_kernel(query, value) and dropout == 0.0 and softcap is None and s_aux is None:
        return _by_kernel(query, key, value, documents, scale, window), None
    queries, keys, values = (torch.split(x, list(documents.lengths), dim=2) for x in (query, key, value))
    outputs = [
        _one_document(q, k, v, scale, dropout, window, softcap, s_aux)
        for q, k, v in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def _has_kernel(query: Tensor, value: Tensor) -> bool:
    """Whether torch's attention over sequences of different lengths serves these tensors.

    Tensors without data stand for those of a GPU, whose memory is estimated with them.
    """
    return (
        query.dtype in (torch.bfloat16, torch.float16)
        and query.shape[-1] == value.shape[-1] <= _LARGEST_HEAD
        and (query.is_meta or (query.is_cuda and torch.cuda.get_device_capability(query.device) >= (8, 0)))
    )


def _by_kernel(
    query: Tensor, key: Tensor, value: Tensor, documents: Documents, scale: float, window: int | None
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    groups = query.shape[1] // key.shape[1]
    if groups > 1 and not _shares_keys():
        key, value = repeated(key, groups), repeated(value, groups)
    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))  # [T, H, d]
    more: dict[str, Any] = {"enable_gqa": True} if groups > 1 and _shares_keys() else {}
    # transformers' windows hold the token itself and those before it: w tokens in all.
    reach = (-1 if window is None else window - 1, 0)
    output = varlen_attn(
        query,
        key,
        value,
        documents.starts,
        documents.starts,
        documents.longest,
        documents.longest,
        scale=scale,
        window_size=reach,
        **more,
    )
    assert isinstance(output, Tensor)
    return output[None]


@cache
def _shares_keys() -> bool:
    """Whether the installed torch lets several query heads share a key in this attention."""
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters


def _one_document(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    dropout: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """query: [1, H, t, d]."""
    n, mask = query.shape[2], None
    if window is not None and window < n:
        seen = torch.ones(n, n, dtype=torch.bool, device=query.device).tril()
        mask = (seen & ~seen.tril(-window))[None, None]
    if softcap is None and sinks is None:
        return scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scale,
            dropout_p=dropout,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    output, log_sum_exp = math_attend(query, key, value, scale, mask, mask is None, softcap, dropout)
    if sinks is not None:
        output = output * torch.sigmoid(log_sum_exp - sinks[:, None])[..., None].to(output.dtype)
    return output


ALL_ATTENTION_FUNCTIONS.register(NAME, document_attention)

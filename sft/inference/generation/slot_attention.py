"""The attention of rows in slots, as an attention implementation of transformers named `sft_slots`.

A model whose layers go through transformers' attention interface runs unchanged: its own projections, positions, window
and soft-capping reach this function, which knows the slots from the context of the forward pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sft.inference.backbone import attending, refuse_own_masks
from sft.inference.generation.slots import ReadingPass, StepPass
from sft.inference.triton_support import runs_triton

NAME = "sft_slots"
_current: ContextVar[ReadingPass | StepPass | None] = ContextVar("sft_slots_pass", default=None)


def in_slots(model: Any) -> contextlib.AbstractContextManager[None]:
    """Within it, the transformers model `model` attends as the pass at hand says."""
    return attending(model, NAME)


@contextlib.contextmanager
def slot_pass(current: ReadingPass | StepPass) -> Iterator[None]:
    token = _current.set(current)
    try:
        yield
    finally:
        _current.reset(token)


def slot_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The signature of transformers' attention functions. query: [n, H, t, d]; returns [n, t, H, d_v].

    s_aux: [H], a logit per head that takes part in the softmax and has no value (attention sinks).
    """
    current = _current.get()
    assert current is not None, "sft_slots attention outside of a pass"
    refuse_own_masks(module, attention_mask, position_bias)
    keys, values = current.keys_and_values(module.layer_idx, key, value)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = sliding_window or None
    if isinstance(current, StepPass) and runs_triton(query):
        from sft.inference.generation.slot_kernel import step_attention

        found = step_attention(
            query, keys, values, current.positions, scale=scale, window=window, softcap=softcap, sinks=s_aux
        )
        return found, None
    # All query heads of one key/value head are rows beside each other: [n, H_kv, G * t, d].
    n, heads, n_tokens, d = query.shape
    grouped = query.reshape(n, keys.shape[1], -1, d)
    if softcap is None and s_aux is None:
        if isinstance(current, ReadingPass) and current.start == 0 and window is None:
            output = scaled_dot_product_attention(
                query, keys, values, is_causal=True, scale=scale, enable_gqa=heads != keys.shape[1]
            )
        else:
            mask = current.mask(n_tokens, window).repeat(1, heads // keys.shape[1], 1)[:, None]
            output = scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=scale)
    else:
        mask = current.mask(n_tokens, window).repeat(1, heads // keys.shape[1], 1)[:, None]
        sinks = None if s_aux is None else s_aux.view(keys.shape[1], -1).repeat_interleave(n_tokens, dim=1)
        output = _plainly(grouped, keys, values, mask, scale, softcap, sinks)
    return output.reshape(n, heads, n_tokens, -1).transpose(1, 2).contiguous(), None


def _plainly(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float, softcap: float | None, sinks: Tensor | None
) -> Tensor:
    """What no kernel of torch does. query: [n, H_kv, R, d]. sinks: [H_kv, R]."""
    scores = (query @ key.transpose(-1, -2)).float() * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.masked_fill(~mask, -torch.inf)
    if sinks is not None:
        column = sinks.float()[None, :, :, None].expand(len(scores), -1, -1, 1)
        scores = torch.cat([scores, column], dim=-1)
    weights = scores.softmax(dim=-1)[..., : key.shape[2]]
    return weights.to(value.dtype) @ value


ALL_ATTENTION_FUNCTIONS.register(NAME, slot_attention)

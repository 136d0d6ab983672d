"""The attention of a packed batch, as an attention implementation of transformers named `sft_tree`.

A model whose layers go through transformers' attention interface runs unchanged: its own projections, positions, window
and soft-capping reach this function, which knows the batch from the context of the forward pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sft.inference.backbone import attending, refuse_own_masks
from sft.inference.packing import PackedBatch
from sft.inference.tree_attention.fused import fused_attention
from sft.inference.tree_attention.layout import Layout
from sft.inference.tree_attention.split import split_attention
from sft.inference.triton_support import runs_triton

NAME = "sft_tree"
KeysAndValues = dict[int, tuple[Tensor, Tensor]]


@dataclass
class Pass:
    """One forward pass over a packed batch.

    prefix: keys and values of the shared prefix by layer. kept: where those of this pass are put, if they are wanted.
    layers: the layers whose attention came through here.
    """

    batch: PackedBatch
    prefix: KeysAndValues
    kept: KeysAndValues | None = None
    layers: set[int] = field(default_factory=set)
    _layouts: dict[torch.device, Layout] = field(default_factory=dict)

    def layout(self, device: torch.device) -> Layout:
        if device not in self._layouts:
            self._layouts[device] = Layout(self.batch, device)
        return self._layouts[device]


_current: ContextVar[Pass | None] = ContextVar("sft_tree_pass", default=None)


@contextlib.contextmanager
def tree_pass(model: Any, current: Pass, *, compiled: bool = False) -> Iterator[None]:
    """Within it, the transformers model `model` attends as `current` says. compiled: whether its layers are."""
    token = _current.set(current)
    try:
        with attending(model, _name_outside_of_graphs() if compiled else NAME):
            yield
    finally:
        _current.reset(token)


@cache
def _name_outside_of_graphs() -> str:
    """The same function, where compiled layers leave their graphs: it depends on more than its arguments."""
    name = f"{NAME}_outside_of_graphs"
    ALL_ATTENTION_FUNCTIONS.register(name, torch.compiler.disable(tree_attention))  # type: ignore[no-untyped-call]
    return name


def tree_attention(
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
    """The signature of transformers' attention functions. query: [1, H, T, d]; returns [1, T, H, d].

    s_aux: [H], a logit per head that takes part in the softmax and has no value (attention sinks).
    """
    current = _current.get()
    assert current is not None, "sft_tree attention outside of a tree pass"
    refuse_own_masks(module, attention_mask, position_bias)
    layer = module.layer_idx
    current.layers.add(layer)
    if current.kept is not None:
        current.kept[layer] = (key, value)
    attention = fused_attention if runs_triton(query) else split_attention
    output, log_sum_exp = attention(
        query,
        key,
        value,
        current.prefix.get(layer),
        current.layout(query.device),
        scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
        window=sliding_window or None,
        softcap=softcap,
    )
    if s_aux is not None:
        output = output * torch.sigmoid(log_sum_exp - s_aux)[..., None].to(output.dtype)
    return output[None].contiguous(), None


ALL_ATTENTION_FUNCTIONS.register(NAME, tree_attention)

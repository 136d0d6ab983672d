"""Attention of a packed batch on CUDA: the library's fastest kernel for the prefix, one of our own for the rest.

The prefix is long, dense and unmasked, which is what library kernels are made for. What tokens see of their own
documents is short and irregular: padding and masking it for a library kernel costs as much as the prefix does
(measured; see docs/decisions/0007-label-scoring.md).
"""

from __future__ import annotations

from torch import Tensor

from sft.inference.tree_attention.kernels import Attended, attend
from sft.inference.tree_attention.layout import Layout
from sft.inference.tree_attention.split import split_attention


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prefix: tuple[Tensor, Tensor] | None,
    layout: Layout,
    *,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> Attended:
    """As `split_attention`."""
    from sft.inference.tree_attention.triton_kernel import tree_attention_kernel

    is_chain = layout.n_documents == 1 and not layout.batch.branches
    window = window if window is not None and layout.batch.positions.max() >= window else None
    if is_chain and window is None and softcap is None:
        return split_attention(query, key, value, prefix, layout, scale=scale, window=None, softcap=None)
    partial = None
    if prefix is not None and window is None and softcap is None:
        partial, prefix = attend(query, *prefix, scale=scale), None
    return tree_attention_kernel(
        query, key, value, layout, scale=scale, window=window, softcap=softcap, prefix=prefix, partial=partial
    )

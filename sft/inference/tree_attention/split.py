"""Attention of a packed batch in two parts, merged by their log-sum-exps.

All tokens attend to the shared prefix, which is one set of keys and values however many rows there are; and each to its
own document. softmax over both is the mean of the two outputs weighted by their shares of the denominator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sft.inference.tree_attention.kernels import Attended, attend
from sft.inference.tree_attention.layout import Layout


def split_attention(
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
    """query [1, H, T, d], key and value [1, H_kv, T, d], prefix: keys and values [1, H_kv, S, d].

    Returns the output [T, H, d] and the log-sum-exp [T, H].
    """
    local = _local(query, key, value, layout, scale, window, softcap)
    if prefix is None:
        return local
    view = layout.prefix_view(window)
    keys, values = (x[:, :, view.first_key :] for x in prefix)
    if keys.shape[2] == 0:
        return local
    output, lse = attend(query, keys, values, scale=scale, mask=view.mask, softcap=softcap)
    lse = lse[0].transpose(0, 1)
    output = output[0].transpose(0, 1)
    if view.blind is not None:
        lse = lse.masked_fill(view.blind[:, None], float("-inf"))
        output = output.masked_fill(view.blind[:, None, None], 0.0)
    return _merged(Attended(output, lse), local)


def _local(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float, window: int | None, softcap: float | None
) -> Attended:
    """Every token and the tokens of its document that it sees."""
    mask = layout.local_mask(window)
    causal = mask is None
    query, key, value = (layout.by_document(x) for x in (query, key, value))
    output, lse = attend(query, key, value, scale=scale, mask=mask, causal=causal, softcap=softcap)
    return Attended(layout.end_to_end(output), layout.end_to_end(lse))


def _merged(a: Attended, b: Attended) -> Attended:
    share = torch.sigmoid(a.log_sum_exp - b.log_sum_exp)[..., None]
    output = torch.lerp(b.output.float(), a.output.float(), share).to(b.output.dtype)
    return Attended(output, torch.logaddexp(a.log_sum_exp, b.log_sum_exp))

"""Attention that also returns the log-sum-exp of its scores, so that attentions over parts of the keys can be merged.

All functions take query [B, H, Q, d], key and value [B, H_kv, K, d] with H a multiple of H_kv, and return the output
[B, H, Q, d] and the log-sum-exp [B, H, Q] in float32. A query that sees no key has a log-sum-exp of -inf and an output
that means nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# The math path keeps the scores of this many query-key pairs at a time.
_MATH_SCORES = 2**26
_HALF = (torch.float16, torch.bfloat16)


class Attended(NamedTuple):
    output: Tensor
    log_sum_exp: Tensor


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    mask: Tensor | None = None,
    causal: bool = False,
    softcap: float | None = None,
) -> Attended:
    """The fastest exact kernel that there is for the device.

    mask: [B or 1, 1, Q, K], true where a query sees a key. causal: query i sees keys 0..i (then there is no mask).
    softcap: scores s become softcap * tanh(s / softcap).
    """
    if softcap is not None or key.shape[-1] != value.shape[-1]:
        return math_attend(query, key, value, scale, mask, causal, softcap)
    if query.device.type == "cpu":
        return _cpu_flash(query, key, value, scale, mask, causal)
    if query.device.type == "cuda":
        if mask is None and query.dtype in _HALF:
            kernel = _cuda_cudnn if _cudnn_is_faster(query, key, value, causal) else _cuda_flash
            return kernel(query, key, value, scale, causal)
        return _cuda_efficient(query, key, value, scale, mask, causal)
    return math_attend(query, key, value, scale, mask, causal, None)


def _cpu_flash(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None, causal: bool) -> Attended:
    if mask is not None:
        mask = _additive(mask, q.dtype).expand(q.shape[0], 1, -1, -1)
    output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, k, v, 0.0, causal, attn_mask=mask, scale=scale
    )
    return Attended(output, lse)


def _cuda_flash(q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool) -> Attended:
    output, lse = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal, False, scale=scale)[:2]
    return Attended(output, lse)


def _cudnn_is_faster(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> bool:
    """cuDNN's kernels use what Hopper GPUs (compute capability 9) and later have; torch's flash kernels don't."""
    if torch.cuda.get_device_capability(q.device) < (9, 0):
        return False
    parameters = torch.backends.cuda.SDPAParams(q, k, v, None, 0.0, causal, q.shape[1] != k.shape[1])
    return torch.backends.cuda.can_use_cudnn_attention(parameters)


def _cuda_cudnn(q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool) -> Attended:
    output, lse = torch.ops.aten._scaled_dot_product_cudnn_attention(
        q, k, v, None, True, 0.0, causal, False, scale=scale
    )[:2]
    return Attended(output, lse.view(q.shape[:3]))


def _cuda_efficient(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None, causal: bool) -> Attended:
    bias = None
    if mask is not None:
        # The kernel reads a bias whose rows are aligned.
        n = mask.shape[-1]
        padded = torch.nn.functional.pad(_additive(mask, q.dtype), (0, -n % 8))
        bias = padded[..., :n].expand(q.shape[0], q.shape[1], -1, -1)
    groups = q.shape[1] // k.shape[1]
    output, lse = torch.ops.aten._scaled_dot_product_efficient_attention(
        q, repeated(k, groups), repeated(v, groups), bias, True, 0.0, causal, scale=scale
    )[:2]
    return Attended(output, lse[:, :, : q.shape[2]])


def math_attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    mask: Tensor | None,
    causal: bool,
    softcap: float | None,
    dropout: float = 0.0,
) -> Attended:
    """By the definition, in float32 or more, some queries at a time. Both results have gradients.

    dropout: the probability with which a query's weight of a key is put to 0, as in training.
    """
    n_query, n_key = q.shape[2], k.shape[2]
    groups = q.shape[1] // k.shape[1]
    precision = torch.promote_types(q.dtype, torch.float32)
    keys, values = repeated(k, groups).to(precision).transpose(-1, -2), repeated(v, groups).to(precision)
    step = max(1, _MATH_SCORES // (q.shape[0] * q.shape[1] * n_key))
    outputs, sums = [], []
    for start in range(0, n_query, step):
        scores = (q[:, :, start : start + step].to(precision) @ keys) * scale
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        if causal:
            seen = torch.arange(n_key, device=q.device) <= torch.arange(start, n_query, device=q.device)[:step, None]
            scores.masked_fill_(~seen, float("-inf"))
        if mask is not None:
            scores.masked_fill_(~mask[:, :, start : start + step], float("-inf"))
        sums.append(torch.logsumexp(scores, dim=-1))
        weights = torch.nn.functional.dropout(scores.softmax(dim=-1), dropout)
        outputs.append((weights @ values).to(v.dtype))
    return Attended(torch.cat(outputs, dim=2), torch.cat(sums, dim=2))


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, float("-inf"))


def repeated(x: Tensor, groups: int) -> Tensor:
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)

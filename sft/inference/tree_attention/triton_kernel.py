"""A Triton kernel for what a packed batch's tokens see of their own documents, and of a prefix where asked.

Tokens that see a key are few and near each other in depth-first order, so the kernel works on small blocks: `BLOCK_T`
tokens with all query heads of one key/value head, against `BLOCK_N` keys. A block of keys whose subtrees all end before
the block of tokens is skipped by one look at `block_ends`. What another kernel found on other keys (the shared prefix)
is merged in by its log-sum-exp before anything is written. Accumulates in float32 (online softmax, Milakov and
Gimelshein 2018, arXiv 1805.02867).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from sft.inference.tree_attention.kernels import Attended
from sft.inference.tree_attention.layout import Layout

_ROWS = 128  # query rows (tokens x heads) of a program
_BLOCK_N = 32


@triton.jit  # type: ignore[untyped-decorator]
def _attend_block(query, keys, values, seen, scale, softcap, top, total, acc, SOFTCAP: tl.constexpr):  # type: ignore[no-untyped-def]
    """One block of keys: new maximum, sum and accumulator. query [M, D], keys and values [N, D], seen [M, N]."""
    scores = tl.dot(query, tl.trans(keys), input_precision="ieee") * scale
    if SOFTCAP:
        scores = softcap * (2.0 * tl.sigmoid(2.0 * scores / softcap) - 1.0)
    scores = tl.where(seen, scores, float("-inf"))
    new_top = tl.maximum(top, tl.max(scores, axis=1))
    # A row that has seen nothing yet keeps -inf; exponents are then taken from 0.
    base = tl.where(new_top == float("-inf"), 0.0, new_top)
    weights = tl.exp(scores - base[:, None])
    shrink = tl.exp(top - base)
    total = total * shrink + tl.sum(weights, axis=1)
    acc = acc * shrink[:, None] + tl.dot(weights.to(values.dtype), values, input_precision="ieee")
    return new_top, total, acc


@triton.jit  # type: ignore[untyped-decorator]
def _tree_attention(  # type: ignore[no-untyped-def]
    query, key, value, prefix_key, prefix_value, partial, partial_lse, output, output_lse,
    ends, positions, block_ends, block_starts,
    n_tokens, n_prefix, scale, softcap, window,
    q_token, q_head, k_token, k_head, v_token, v_head, pk_token, pk_head, pv_token, pv_head, p_token, p_head, l_token,
    l_head,
    HEADS: tl.constexpr, GROUPS: tl.constexpr, GROUPS_PADDED: tl.constexpr, D: tl.constexpr, D_PADDED: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_N: tl.constexpr, HAS_PREFIX: tl.constexpr, HAS_PARTIAL: tl.constexpr,
    WINDOW: tl.constexpr, SOFTCAP: tl.constexpr,
):  # fmt: skip
    block, kv_head = tl.program_id(0), tl.program_id(1)
    row = tl.arange(0, BLOCK_T * GROUPS_PADDED)
    token = block * BLOCK_T + row // GROUPS_PADDED
    group = row % GROUPS_PADDED
    head = kv_head * GROUPS + group
    exists = (token < n_tokens) & (group < GROUPS)
    d = tl.arange(0, D_PADDED)
    in_head = d < D
    q = tl.load(
        query + token[:, None].to(tl.int64) * q_token + head[:, None] * q_head + d[None, :],
        mask=exists[:, None] & in_head[None, :],
        other=0.0,
    )
    position = tl.load(positions + token, mask=exists, other=0)
    top = tl.full([BLOCK_T * GROUPS_PADDED], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_T * GROUPS_PADDED], tl.float32)
    acc = tl.zeros([BLOCK_T * GROUPS_PADDED, D_PADDED], tl.float32)
    n = tl.arange(0, BLOCK_N)
    if HAS_PREFIX:
        for start in range(0, n_prefix, BLOCK_N):
            at = start + n
            loads = (at < n_prefix)[:, None] & in_head[None, :]
            where = at[:, None].to(tl.int64)
            k = tl.load(prefix_key + where * pk_token + kv_head * pk_head + d[None, :], mask=loads, other=0.0)
            v = tl.load(prefix_value + where * pv_token + kv_head * pv_head + d[None, :], mask=loads, other=0.0)
            seen = (at[None, :] < n_prefix) & exists[:, None]
            if WINDOW:
                seen = seen & (position[:, None] - at[None, :] < window)
            top, total, acc = _attend_block(q, k, v, seen, scale, softcap, top, total, acc, SOFTCAP)
    first = tl.load(block_starts + block)
    last = (tl.minimum(block * BLOCK_T + BLOCK_T, n_tokens) - 1) // BLOCK_N
    for j in range(first, last + 1):
        if tl.load(block_ends + j) > block * BLOCK_T:
            at = j * BLOCK_N + n
            there = at < n_tokens
            loads = there[:, None] & in_head[None, :]
            where = at[:, None].to(tl.int64)
            k = tl.load(key + where * k_token + kv_head * k_head + d[None, :], mask=loads, other=0.0)
            v = tl.load(value + where * v_token + kv_head * v_head + d[None, :], mask=loads, other=0.0)
            end = tl.load(ends + at, mask=there, other=0)
            seen = (at[None, :] <= token[:, None]) & (token[:, None] < end[None, :]) & exists[:, None]
            if WINDOW:
                key_position = tl.load(positions + at, mask=there, other=0)
                seen = seen & (position[:, None] - key_position[None, :] < window)
            top, total, acc = _attend_block(q, k, v, seen, scale, softcap, top, total, acc, SOFTCAP)
    # Rows that don't exist have seen nothing.
    total = tl.where(exists, total, 1.0)
    top = tl.where(exists, top, 0.0)
    out = acc / total[:, None]
    lse = top + tl.log(total)
    if HAS_PARTIAL:
        other_lse = tl.load(partial_lse + token * l_token + head * l_head, mask=exists, other=0.0)
        other = tl.load(
            partial + token[:, None].to(tl.int64) * p_token + head[:, None] * p_head + d[None, :],
            mask=exists[:, None] & in_head[None, :],
            other=0.0,
        ).to(tl.float32)
        out = out + tl.sigmoid(other_lse - lse)[:, None] * (other - out)
        most = tl.maximum(lse, other_lse)
        lse = most + tl.log(tl.exp(lse - most) + tl.exp(other_lse - most))
    rows = token.to(tl.int64) * HEADS + head
    tl.store(output + rows[:, None] * D + d[None, :], out, mask=exists[:, None] & in_head[None, :])
    tl.store(output_lse + rows, lse, mask=exists)


def tree_attention_kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    *,
    scale: float,
    window: int | None,
    softcap: float | None,
    prefix: tuple[Tensor, Tensor] | None = None,
    partial: Attended | None = None,
) -> Attended:
    """query [1, H, T, d], key and value [1, H_kv, T, d].

    prefix: keys and values [1, H_kv, S, d] that all tokens see as far as the window reaches. partial: what was found on
    keys that are not given here, output [1, H, T, d] and log-sum-exp [1, H, T]. Returns [T, H, d] and [T, H].
    """
    query, key, value = (_with_dense_heads(x) for x in (query, key, value))
    _, heads, n_tokens, d = query.shape
    groups = heads // key.shape[1]
    groups_padded = triton.next_power_of_2(groups)
    block_t = max(1, _ROWS // groups_padded)
    blocks = layout.blocks(block_t, _BLOCK_N)
    output = torch.empty((n_tokens, heads, d), dtype=query.dtype, device=query.device)
    lse = torch.empty((n_tokens, heads), dtype=torch.float32, device=query.device)
    no_partial = partial is None
    partial = Attended(query, lse.T[None]) if partial is None else partial
    prefix_key, prefix_value = (key, value) if prefix is None else map(_with_dense_heads, prefix)
    found = _with_dense_heads(partial.output)
    strides: list[Any] = []
    for tensor in (query, key, value, prefix_key, prefix_value, found):
        strides += [tensor.stride(2), tensor.stride(1)]
    d_padded = max(16, triton.next_power_of_2(d))
    with torch.cuda.device_of(query):  # type: ignore[no-untyped-call]
        _tree_attention[(triton.cdiv(n_tokens, block_t), key.shape[1])](
            query, key, value, prefix_key, prefix_value, found, partial.log_sum_exp, output, lse,
            layout.ends, layout.positions, blocks.ends, blocks.starts,
            n_tokens, 0 if prefix is None else prefix_key.shape[2], scale, softcap or 1.0, window or 0,
            *strides, partial.log_sum_exp.stride(2), partial.log_sum_exp.stride(1),
            HEADS=heads, GROUPS=groups, GROUPS_PADDED=groups_padded, D=d, D_PADDED=d_padded,
            BLOCK_T=block_t, BLOCK_N=_BLOCK_N, HAS_PREFIX=prefix is not None, HAS_PARTIAL=not no_partial,
            WINDOW=window is not None, SOFTCAP=softcap is not None,
            num_warps=8 if d_padded >= 128 else 4, num_stages=2,
        )  # fmt: skip
    return Attended(output, lse)


def _with_dense_heads(x: Tensor) -> Tensor:
    """The kernel reads heads whose elements are next to each other."""
    return x if x.stride(3) == 1 else x.contiguous()

"""A Triton kernel for one new token per row, against keys and values in slots.

A program serves a row and one key/value head with all its query heads, and reads no further than the row's own
position, nor further back than its window. So rows of different lengths share a batch without padding, and one CUDA
graph serves all lengths.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sft.inference.tree_attention.triton_kernel import _attend_block

_BLOCK_N = 64


@triton.jit  # type: ignore[untyped-decorator]
def _step_attention(  # type: ignore[no-untyped-def]
    query, keys, values, positions, sinks, output,
    scale, softcap, window,
    q_row, q_head, k_row, k_head, k_token, v_row, v_head, v_token,
    HEADS: tl.constexpr, GROUPS: tl.constexpr, GROUPS_PADDED: tl.constexpr, D: tl.constexpr, D_PADDED: tl.constexpr,
    DV: tl.constexpr, DV_PADDED: tl.constexpr, BLOCK_N: tl.constexpr, WINDOW: tl.constexpr, SOFTCAP: tl.constexpr,
    SINKS: tl.constexpr,
):  # fmt: skip
    row, kv_head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    group = tl.arange(0, GROUPS_PADDED)
    head = kv_head * GROUPS + group
    exists = group < GROUPS
    d, dv = tl.arange(0, D_PADDED), tl.arange(0, DV_PADDED)
    q = tl.load(
        query + row * q_row + head[:, None] * q_head + d[None, :],
        mask=exists[:, None] & (d < D)[None, :],
        other=0.0,
    )
    last = tl.load(positions + row)
    first = last * 0
    if WINDOW:
        first = tl.maximum(last - window + 1, 0) // BLOCK_N * BLOCK_N
    top = tl.full([GROUPS_PADDED], float("-inf"), tl.float32)
    total = tl.zeros([GROUPS_PADDED], tl.float32)
    if SINKS:
        top = tl.load(sinks + head, mask=exists, other=0.0).to(tl.float32)
        total = total + 1.0
    acc = tl.zeros([GROUPS_PADDED, DV_PADDED], tl.float32)
    n = tl.arange(0, BLOCK_N)
    for start in range(first, last + 1, BLOCK_N):
        at = start + n
        there = at <= last
        k = tl.load(
            keys + row * k_row + kv_head * k_head + at[:, None] * k_token + d[None, :],
            mask=there[:, None] & (d < D)[None, :],
            other=0.0,
        )
        v = tl.load(
            values + row * v_row + kv_head * v_head + at[:, None] * v_token + dv[None, :],
            mask=there[:, None] & (dv < DV)[None, :],
            other=0.0,
        )
        seen = there[None, :] & exists[:, None]
        if WINDOW:
            seen = seen & (at > last - window)[None, :]
        top, total, acc = _attend_block(q, k, v, seen, scale, softcap, top, total, acc, SOFTCAP)
    out = acc / tl.where(exists, total, 1.0)[:, None]
    tl.store(output + (row * HEADS + head)[:, None] * DV + dv[None, :], out, mask=exists[:, None] & (dv < DV)[None, :])


def step_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    positions: Tensor,
    *,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """query [n, H, 1, d], key and value [n, H_kv, span, d], positions [n]. Returns [n, 1, H, d_v]."""
    n, heads, _, d = query.shape
    dv = value.shape[3]
    query = query if query.stride(3) == 1 else query.contiguous()
    groups = heads // key.shape[1]
    output = torch.empty((n, 1, heads, dv), dtype=query.dtype, device=query.device)
    with torch.cuda.device_of(query):  # type: ignore[no-untyped-call]
        _step_attention[(n, key.shape[1])](
            query, key, value, positions, query if sinks is None else sinks, output,
            scale, softcap or 1.0, window or 0,
            query.stride(0), query.stride(1), *key.stride()[:3], *value.stride()[:3],
            HEADS=heads, GROUPS=groups, GROUPS_PADDED=max(16, triton.next_power_of_2(groups)),
            D=d, D_PADDED=max(16, triton.next_power_of_2(d)), DV=dv, DV_PADDED=max(16, triton.next_power_of_2(dv)),
            BLOCK_N=_BLOCK_N, WINDOW=window is not None, SOFTCAP=softcap is not None, SINKS=sinks is not None,
            num_warps=4, num_stages=3,
        )  # fmt: skip
    return output

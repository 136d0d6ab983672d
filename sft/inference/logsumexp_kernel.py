"""The Triton kernel behind `row_logsumexp`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 8192


@triton.jit  # type: ignore[untyped-decorator]
def _row_logsumexp(logits, output, n_columns, row_stride, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    top = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, n_columns, BLOCK):
        at = start + column
        x = tl.load(logits + row * row_stride + at, mask=at < n_columns, other=float("-inf")).to(tl.float32)
        new_top = tl.maximum(top, x)
        base = tl.where(new_top == float("-inf"), 0.0, new_top)
        total = total * tl.exp(top - base) + tl.exp(x - base)
        top = new_top
    most = tl.max(top, axis=0)
    tl.store(output + row, most + tl.log(tl.sum(total * tl.exp(top - most), axis=0)))


def row_logsumexp(logits: Tensor) -> Tensor:
    """[R] in float32. logits: [R, V], of any float type."""
    output = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    with torch.cuda.device_of(logits):  # type: ignore[no-untyped-call]
        _row_logsumexp[(len(logits),)](logits, output, logits.shape[1], logits.stride(0), BLOCK=_BLOCK, num_warps=8)
    return output

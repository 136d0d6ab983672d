"""Some singular vectors of many matrices: exact where that is cheap, else by randomised or inverse iteration."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EXACT_UP_TO = 512
"""Matrices whose smaller side is at most this are decomposed in full."""


class Triplets(NamedTuple):
    """Singular triplets, largest first: u `[…, out, rank]`, s `[…, rank]`, v `[…, in, rank]`.

    The largest entry of each column of v is positive.
    """

    u: Tensor
    s: Tensor
    v: Tensor


def top_triplets(matrices: Tensor, rank: int, *, niter: int = 8, seed: int = 0) -> Triplets:
    """The `rank` largest singular triplets of matrices `[…, out, in]`, float32.

    Above `EXACT_UP_TO` by randomised subspace iteration (Halko et al. 2011, arXiv 0909.4061) with twice the rank (at
    least 16 more) and `niter` iterations: on weights the singular values are then within 1 %.
    """
    if min(matrices.shape[-2:]) <= EXACT_UP_TO:
        u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
        return _signed(u[..., :rank], s[..., :rank], vh.mT[..., :rank])
    q = min(max(2 * rank, rank + 16), *matrices.shape[-2:])
    with torch.random.fork_rng([matrices.device] if matrices.device.type == "cuda" else []):
        torch.manual_seed(seed)
        u, s, v = torch.svd_lowrank(matrices, q=q, niter=niter)
    return _signed(u[..., :rank], s[..., :rank], v[..., :rank])


def bottom_triplets(matrices: Tensor, rank: int, *, niter: int = 8, seed: int = 0) -> Triplets:
    """The `rank` smallest singular triplets (of the `min(out, in)` that there are), largest of them first.

    Above `EXACT_UP_TO` by inverse iteration on the Gram matrix of the smaller side, in float64. Small singular values
    lie close together: the span found is near the smallest in size, not the very same.
    """
    if min(matrices.shape[-2:]) <= EXACT_UP_TO:
        u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
        return _signed(u[..., -rank:], s[..., -rank:], vh.mT[..., -rank:])
    if matrices.shape[-2] > matrices.shape[-1]:
        u, s, v = bottom_triplets(matrices.mT, rank, niter=niter, seed=seed)
        return _signed(v, s, u)
    wide = matrices.double()
    gram = wide @ wide.mT
    size = gram.shape[-1]
    shift = 1e-10 * gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    factor = torch.linalg.cholesky(gram + shift * torch.eye(size, dtype=gram.dtype, device=gram.device))
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(size, max(2 * rank, rank + 16), dtype=gram.dtype, generator=generator).to(gram.device)
    basis = torch.linalg.qr(start.expand(*gram.shape[:-2], *start.shape)).Q
    for _ in range(niter):
        basis = torch.linalg.qr(torch.cholesky_solve(basis, factor)).Q
    # The triplets inside the span, of which the smallest are kept.
    inner, s, vh = torch.linalg.svd(basis.mT @ wide, full_matrices=False)
    u = (basis @ inner)[..., -rank:]
    return _signed(u.float(), s[..., -rank:].float(), vh.mT[..., -rank:].float())


def _signed(u: Tensor, s: Tensor, v: Tensor) -> Triplets:
    largest = v.gather(-2, v.abs().argmax(dim=-2, keepdim=True))
    signs = torch.where(largest < 0, -1.0, 1.0)
    return Triplets(u * signs, s, v * signs)

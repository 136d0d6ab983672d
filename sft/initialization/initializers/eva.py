"""EVA: A spans what the layer's inputs vary along (Paischer et al. 2024, arXiv 2410.07170)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sft.initialization.initializers.base import Factors, as_factors, check_rank, initializer_registry
from sft.initialization.svd import top_triplets
from sft.initialization.utils import dequantize


@initializer_registry.register("eva")
def eva(
    layer: nn.Module,
    rank: int,
    dtype: torch.dtype = torch.bfloat16,
    *,
    inputs: Tensor,
    seed: int = 0,
    whiten: bool = False,
) -> Factors:
    """A: the `rank` leading right singular vectors of the centred inputs `[tokens, in]` on the training shots; B: zero.

    whiten: divide each by the root of its singular value, as PEFT's `whiten`. Every layer keeps its rank (PEFT's
    `rho` = 1). Where there are fewer tokens than `rank`, the rows of A that they leave open are random and orthogonal
    to the rest.
    """
    n_out, n_in = dequantize(layer).shape
    check_rank("eva", rank, n_out, n_in)
    centred = inputs.float() - inputs.float().mean(dim=0)
    found = top_triplets(centred, min(rank, *centred.shape), seed=seed)
    # What the data leaves open: directions without variance (numerically), random ones instead.
    kept = found.s > 1e-5 * found.s[:1].clamp_min(1e-30)
    known = found.v[:, kept]
    generator = torch.Generator().manual_seed(seed)
    fill = torch.randn(n_in, rank - known.shape[1], generator=generator).to(known)
    a = torch.linalg.qr(torch.cat([known, fill], dim=1)).Q.T
    a[: known.shape[1]] = known.T
    if whiten:
        a[: known.shape[1]] /= found.s[kept].sqrt()[:, None]
    return as_factors(a, torch.zeros(n_out, rank, device=a.device), dtype)

"""CorDA: singular directions of the weight in the metric of its inputs (Yang et al. 2024, arXiv 2406.05223)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sft.initialization.initializers.base import Factors, as_factors, check_rank, initializer_registry
from sft.initialization.initializers.pissa import spread
from sft.initialization.svd import bottom_triplets, top_triplets
from sft.initialization.utils import dequantize

_DAMPING = 0.01


@initializer_registry.register("corda")
def corda(
    layer: nn.Module,
    rank: int,
    dtype: torch.dtype = torch.bfloat16,
    *,
    inputs: Tensor,
    scaling: float = 1.0,
    seed: int = 0,
    mode: Literal["ipm", "kpm"] = "ipm",
    residual: bool = True,
) -> Factors:
    """`W C = U S V^T`, `C` the inputs' second moments `[in, in]`; `B A = U S (V^T C^{-1})` on `rank` triplets.

    mode: `ipm` trains the largest triplets (the paper's instruction-previewed mode, for the task that the shots show),
    `kpm` the smallest (knowledge-preserved: the shots show what is to be kept). C is damped by a hundredth of its mean
    diagonal, as in PEFT's. PEFT's `corda`, which needs a preprocessing run and rewrites the base.
    """
    weight = dequantize(layer)
    n_out, n_in = weight.shape
    check_rank("corda", rank, n_out, n_in)
    moments = inputs.float().T @ inputs.float() / len(inputs)
    damped = moments + _DAMPING * moments.diagonal().mean() * torch.eye(n_in, device=moments.device)
    choose = {"ipm": top_triplets, "kpm": bottom_triplets}[mode]
    u, s, v = choose(weight @ damped, rank, seed=seed)
    a, b = spread(u, s / scaling, torch.linalg.solve(damped, v))
    return as_factors(a, b, dtype)

"""MiLoRA: the minor singular directions are trained, the principal ones kept (Wang et al. 2024, arXiv 2406.09044)."""

from __future__ import annotations

from torch import Tensor

from sft.initialization.initializers.base import from_weights
from sft.initialization.initializers.pissa import spread
from sft.initialization.svd import bottom_triplets


@from_weights("milora")
def milora(
    weights: Tensor, rank: int, *, scaling: float = 1.0, seed: int = 0, residual: bool = True
) -> tuple[Tensor, Tensor]:
    """As PiSSA with the `rank` smallest singular triplets (see `bottom_triplets` for the tolerance)."""
    u, s, v = bottom_triplets(weights, rank, seed=seed)
    return spread(u, s / scaling, v)

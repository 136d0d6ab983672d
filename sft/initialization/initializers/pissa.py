"""PiSSA: the principal singular directions are trained (Meng et al. 2024, arXiv 2404.02948)."""

from __future__ import annotations

from torch import Tensor

from sft.initialization.initializers.base import from_weights
from sft.initialization.svd import top_triplets


@from_weights("pissa")
def pissa(
    weights: Tensor, rank: int, *, scaling: float = 1.0, seed: int = 0, niter: int = 8, residual: bool = True
) -> tuple[Tensor, Tensor]:
    """`W = U S V^T`; `A = sqrt(S_r) V_r^T`, `B = U_r sqrt(S_r)`, with `S_r` divided by `scaling`.

    niter: iterations of the randomised decomposition of large layers. residual: true as in the paper, so that training
    starts at the base model; without it the model starts at `W + W_r`.
    """
    u, s, v = top_triplets(weights, rank, niter=niter, seed=seed)
    return spread(u, s / scaling, v)


def spread(u: Tensor, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """A and B with `B A = u diag(s) v^T`, each with the root of s."""
    root = s.clamp_min(0).sqrt()[..., None, :]
    return (v * root).mT, u * root

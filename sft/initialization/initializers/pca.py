"""Principal components of the weight's rows as A, zero as B: training starts at the base model."""

from __future__ import annotations

import torch
from torch import Tensor

from sft.initialization.initializers.base import from_weights
from sft.initialization.svd import top_triplets


@from_weights("pca")
def pca(weights: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """A: the `rank` eigenvectors of the covariance of the rows (`[in, in]`) with the largest eigenvalues; B: zero.

    They are the right singular vectors of the centred rows (see `top_triplets` for the tolerance). Signs are fixed: the
    largest component of each is positive.
    """
    components = top_triplets(weights - weights.mean(dim=1, keepdim=True), rank).v.mT
    return components, torch.zeros(*weights.shape[:2], rank, device=weights.device)

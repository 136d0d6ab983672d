"""OLoRA: orthonormal factors from the QR decomposition of the weight (Büyükakyüz 2024, arXiv 2406.01775)."""

from __future__ import annotations

import torch
from torch import Tensor

from sft.initialization.initializers.base import from_weights


@from_weights("olora")
def olora(weights: Tensor, rank: int, *, residual: bool = True) -> tuple[Tensor, Tensor]:
    """`W = Q R`; `B = Q_r` (the first columns), `A = R_r` (the first rows). PEFT's `olora`, which rewrites the base.

    The first columns of Q depend on the first columns of W alone, and the first rows of R are `Q_r^T W`, so nothing
    else is computed.
    """
    q = torch.linalg.qr(weights[..., :rank]).Q
    return q.mT @ weights, q

"""Principal components of the weight's rows as A, zero as B: training starts at the base model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sft.errors import SftError
from sft.initialization.initializers.base import initializer_registry
from sft.initialization.utils import dequantize


@initializer_registry.register("pca")
def pca(layer: nn.Module, rank: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    """A: the `rank` eigenvectors of the covariance of the rows (`[in, in]`) with the largest eigenvalues; B: zero.

    Signs are fixed: the largest component of each eigenvector is positive. Raises `SftError` for a rank above `in`.
    """
    weight = dequantize(layer)
    n_out, n_in = weight.shape
    if rank > n_in:
        raise SftError(f"pca: rank {rank} is larger than the layer's {n_in} inputs", "lower lora.r")
    centred = weight - weight.mean(dim=0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    components = vectors.flip(1)[:, :rank].T
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    a = components * largest.sign()
    return {"lora_A": a.to(dtype).contiguous(), "lora_B": torch.zeros(n_out, rank, dtype=dtype, device=weight.device)}

"""LoRA-GA: the first step goes where full fine-tuning's would (Wang et al. 2024, arXiv 2407.05000)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sft.initialization.initializers.base import Factors, as_factors, check_rank, initializer_registry
from sft.initialization.svd import top_triplets


@initializer_registry.register("lora_ga")
def lora_ga(
    layer: nn.Module,
    rank: int,
    dtype: torch.dtype = torch.bfloat16,
    *,
    gradient: Tensor,
    seed: int = 0,
    gamma: float = 16.0,
    residual: bool = True,
) -> Factors:
    """`G = U S V^T` the loss's gradient by the weight; `A = c V_{1..r}^T`, `B = c U_{r+1..2r}`.

    `c = out^{1/4} / sqrt(gamma)`. gamma: the paper's, for a stable scale of the output over layer sizes. Where the
    layer has fewer than `2 rank` directions, B takes the last `rank`. Unlike PEFT's, B isn't multiplied by the
    gradient's singular values, which depend on how the loss is scaled.
    """
    n_out, n_in = gradient.shape
    check_rank("lora_ga", rank, n_out, n_in)
    u, _, v = top_triplets(gradient.float(), min(2 * rank, n_out, n_in), seed=seed)
    scale = n_out**0.25 / gamma**0.5
    return as_factors(scale * v[:, :rank].T, scale * u[:, -rank:], dtype)

"""LoftQ: the adapter starts at what quantisation took away (Li et al. 2023, arXiv 2310.08659)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sft.initialization.initializers.base import Factors, as_factors, check_rank, initializer_registry
from sft.initialization.initializers.pissa import spread
from sft.initialization.svd import top_triplets
from sft.initialization.utils import dequantize


@initializer_registry.register("loftq")
def loftq(
    layer: nn.Module,
    rank: int,
    dtype: torch.dtype = torch.bfloat16,
    *,
    original: Tensor,
    scaling: float = 1.0,
    seed: int = 0,
) -> Factors:
    """`scaling · B A` is the best approximation of `original − W` of that rank, W being the quantised weight.

    Training then starts nearer to the unquantised model than to the quantised one. That is LoftQ with the base as it
    was quantised (one iteration, as PEFT's `replace_lora_weights_loftq`); PEFT's `init_lora_weights: loftq` quantises
    again in between, and so changes the base. On a layer that isn't quantised, A and B are zero up to rounding, and
    nothing would be learned: it is refused where the model is loaded.
    """
    weight = dequantize(layer)
    check_rank("loftq", rank, *weight.shape)
    u, s, v = top_triplets(original.to(weight) - weight, rank, seed=seed)
    a, b = spread(u, s / scaling, v)
    return as_factors(a, b, dtype)

"""Whether kernels written in Triton can run where a tensor is."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


def runs_triton(tensor: Tensor) -> bool:
    """On CUDA with a Triton that works there: it needs a C compiler, which not every machine has."""
    return tensor.device.type == "cuda" and _works()


@cache
def _works() -> bool:
    if find_spec("triton") is None:
        return False
    from sft.inference.logsumexp_kernel import row_logsumexp

    try:
        row_logsumexp(torch.zeros((1, 1), device="cuda"))
    except Exception as error:  # whatever stops Triton from compiling; torch's own kernels serve too
        logger.warning("scoring without Triton kernels, which is slower: %s: %s", type(error).__name__, error)
        return False
    return True

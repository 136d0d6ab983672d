"""UMAP of the weight's columns as A, zero as B (McInnes et al. 2018, arXiv 1802.03426)."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator

import torch
from torch import nn

from sft.errors import MissingPackageError, SftError
from sft.initialization.initializers.base import Factors, as_factors, check_rank, costly, initializer_registry
from sft.initialization.utils import dequantize

logger = logging.getLogger(__name__)

INSTALL = "pip install umap-learn"


@initializer_registry.register("umap")
@costly(seconds_per_million_weights=0.5)
def umap(
    layer: nn.Module,
    rank: int,
    dtype: torch.dtype = torch.bfloat16,
    *,
    seed: int = 0,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
) -> Factors:
    """A: the `rank`-dimensional embedding of the columns of W (`[in, out]` points), transposed; B: zero.

    Each row is centred, and the whole scaled to the standard deviation of PEFT's default A (Kaiming-uniform with
    a = sqrt(5), i.e. `1 / sqrt(3 in)`). n_neighbors, min_dist: UMAP's own. One 4096 × 4096 layer takes about 8 s on one
    CPU core, whatever the GPU. Raises `MissingPackageError` without umap-learn.
    """
    weight = dequantize(layer)
    n_out, n_in = weight.shape
    check_rank("umap", rank, n_out, n_in)
    if n_in <= rank + 1:
        raise SftError(f"umap: rank {rank} needs a layer of more than {rank + 1} inputs, not {n_in}", "lower lora.r")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=ImportWarning)  # about a part of it that needs TensorFlow
            from umap import UMAP
    except ImportError as error:
        raise MissingPackageError("umap-learn", "the initialisation 'umap'", INSTALL) from error
    reducer = UMAP(
        n_components=rank, n_neighbors=min(n_neighbors, n_in - 1), min_dist=min_dist, random_state=seed, n_jobs=1
    )
    with warnings.catch_warnings(), _same_threads():
        warnings.filterwarnings("ignore", module="umap")  # about the seed that costs it its threads
        embedding = torch.from_numpy(reducer.fit_transform(weight.T.cpu().numpy())).float()
    a = embedding.T - embedding.T.mean(dim=1, keepdim=True)
    a = a / a.std().clamp_min(1e-12) / math.sqrt(3 * n_in)
    return as_factors(a.to(weight.device), torch.zeros(n_out, rank, device=weight.device), dtype)


@contextlib.contextmanager
def _same_threads() -> Iterator[None]:
    """Numba raises the number of OpenMP threads, torch's too, on which the last bits of its results depend."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)

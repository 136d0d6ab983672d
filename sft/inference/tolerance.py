"""How far two exact ways to compute a score may be apart."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

# Of a score's size, with scores up to 10 nats counted as 10: 1e-4 in float32. Two ways to batch the plain forward pass
# of a small bfloat16 model differ by half of the tolerance for 16-bit types.
_OF_SCORE = {torch.float32: 1e-5, torch.float64: 1e-5}
_OF_SCORE_16_BIT = 1e-2
_SMALLEST_SCALE = 10.0
_OUTLIER = 10.0


def tolerance(scores: NDArray[np.float64], dtype: torch.dtype) -> NDArray[np.float64]:
    """In nats, for each score. dtype: of the model."""
    allowed: NDArray[np.float64] = _OF_SCORE.get(dtype, _OF_SCORE_16_BIT) * np.maximum(np.abs(scores), _SMALLEST_SCALE)
    return allowed


def agree(a: NDArray[np.float64], b: NDArray[np.float64], dtype: torch.dtype) -> bool:
    """Whether many scores that were computed in two ways agree: in the mean square, and none far apart.

    Among tens of thousands of roundings some are several times the tolerance for one.
    """
    apart = np.abs(a - b) / tolerance(a, dtype)
    return bool(np.sqrt(np.square(apart).mean()) <= 1.0 and apart.max() <= _OUTLIER)


def is_16_bit(dtype: torch.dtype) -> bool:
    return dtype not in _OF_SCORE

"""How far two exact ways to compute a score may be apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

# Of a score's size, with scores up to 10 nats counted as 10: 1e-4 in float32. Two ways to batch the plain forward pass
# of a small bfloat16 model differ by half of the tolerance for 16-bit types.
_OF_SCORE = {torch.float32: 1e-5, torch.float64: 1e-5}
_OF_SCORE_16_BIT = 1e-2
_SMALLEST_SCALE = 10.0
_OUTLIER = 10.0
# Where the plain way differs from itself by more than the tolerance, so much of that is allowed too.
_TIMES_NOISE = 3.0


class Compared(NamedTuple):
    """The largest difference to the plain scores, and what was allowed for that score, in nats."""

    difference: float
    allowed: float

    @property
    def agrees(self) -> bool:
        return self.difference <= self.allowed

    def __str__(self) -> str:
        return f"{self.difference:.1e} from the plain scores ({self.allowed:.1e} allowed)"


def compare(
    scores: NDArray[np.float64],
    plain: NDArray[np.float64],
    alone: Callable[[], NDArray[np.float64]],
    dtype: torch.dtype,
) -> Compared:
    """A few scores that were computed in a faster and in the plain way.

    alone: gives the plain scores once more, computed one sequence at a time. They differ much where activations are
    quantised, or where rounding sends a token to another expert. dtype: of the model.
    """
    allowed = tolerance(plain, dtype)
    excess = np.abs(scores - plain) / allowed
    worst = np.unravel_index(excess.argmax(), excess.shape)
    noise = 0.0 if excess.max() <= 1.0 else float((np.abs(alone() - plain) / allowed).max())
    return Compared(float(np.abs(scores - plain)[worst]), float(allowed[worst]) * max(1.0, _TIMES_NOISE * noise))


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

"""Sampling whose draws belong to a row: they depend on the seed and the row's number, not on the rows beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList


def uniforms(seed: int, number: int, count: int) -> NDArray[np.float64]:
    """The draws of row `number`, one from [0, 1) for each token; [count]."""
    return np.random.default_rng((seed, number)).random(count)


def seed_of_row(seed: int, number: int) -> int:
    """For ways of sampling that draw from torch's own generator."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def draw(scores: Tensor, at: Tensor) -> Tensor:
    """The token at which the distribution function first exceeds `at` (inverse transform sampling).

    scores: [rows, V], logits after all processors. at: [rows], in [0, 1).
    """
    precise = _precise(scores.device)
    cumulative = scores.softmax(dim=-1, dtype=torch.float32).cumsum(dim=-1, dtype=precise)
    threshold = at.to(precise)[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, threshold, right=True)[:, 0]
    return tokens.clamp(max=scores.shape[-1] - 1)


def draws_on(device: torch.device, values: Sequence[float]) -> Tensor:
    """As precise as the device allows, and less than 1."""
    at = torch.tensor(values, dtype=torch.float64)
    if _precise(device) == torch.float32:
        at = at.clamp(max=1 - 2**-24)
    return at.to(device, _precise(device))


def _precise(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


class RowDraws(LogitsProcessor):  # type: ignore[misc]
    """Leaves one token of each row possible, the one that is drawn; to be the last processor of a static batch."""

    def __init__(self, seed: int, numbers: Sequence[int], steps: int) -> None:
        self._at = np.stack([uniforms(seed, number, steps) for number in numbers])
        self._width: int | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._width = self._width or input_ids.shape[1]
        # On a GPU, `generate` may take a step more than it needs before it sees that all rows have ended.
        step = min(input_ids.shape[1] - self._width, self._at.shape[1] - 1)
        tokens = draw(scores, draws_on(scores.device, self._at[:, step].tolist()))
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens[:, None], 0.0)


def sampled_by_row(seed: int, numbers: Sequence[int], steps: int) -> Any:
    """For `generate(custom_generate=…)`: its own sampling, with a row's own draws. Warpers come before them there."""

    def sample(model: Any, input_ids: Tensor, logits_processor: Any, **arguments: Any) -> Any:
        processors = LogitsProcessorList([*logits_processor, RowDraws(seed, numbers, steps)])
        return model._sample(input_ids, logits_processor=processors, **arguments)

    return sample

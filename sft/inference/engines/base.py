"""What an engine is: one way to run a model over prompts with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sft.inference.batching import BatchSize
from sft.inference.shared_prefixes import ScoringRow
from sft.models.load import LoadedModel
from sft.registry import Registry


@dataclass(frozen=True)
class EngineOptions:
    """batch_size: rows in a batch. compile: whether layers are compiled; `auto`: where that pays."""

    batch_size: BatchSize = "auto"
    compile: bool | Literal["auto"] = "auto"


class Engine(Protocol):
    """Log-probabilities of the labels of rows: [rows, labels], float64, in the order of the rows.

    waiting: how many more rows will be scored after these, by further calls. compiled: whether the last rows were
    scored by compiled layers.
    """

    compiled: bool

    def __call__(self, rows: Sequence[ScoringRow], waiting: int = 0) -> NDArray[np.float64]: ...


class EngineMaker(Protocol):
    """Raises `UnsupportedModelError` for a model of which it can be known at once."""

    def __call__(self, loaded: LoadedModel, options: EngineOptions) -> Engine: ...


engine_registry: Registry[EngineMaker] = Registry("scoring engine")

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

    Rows with fewer labels than others end in minus infinity. waiting: how many more rows will be scored after these, by
    further calls. compiled: whether the last rows were scored by compiled layers.
    """

    compiled: bool

    def __call__(self, rows: Sequence[ScoringRow], waiting: int = 0) -> NDArray[np.float64]: ...


class EngineMaker(Protocol):
    """Raises `UnsupportedModelError` for a model of which it can be known at once."""

    def __call__(self, loaded: LoadedModel, options: EngineOptions) -> Engine: ...


class RowsOfScores:
    """The scores of rows with any number of labels, to be filled in. Rows are known by their places."""

    def __init__(self, rows: Sequence[ScoringRow]) -> None:
        widest = max(len(row.tree.labels) for row in rows)
        self.values: NDArray[np.float64] = np.full((len(rows), widest), -np.inf)

    def put(self, rows: Sequence[ScoringRow], scores: NDArray[np.float64]) -> None:
        """scores: of the labels of `rows`, end to end."""
        counts = [len(row.tree.labels) for row in rows]
        places = np.repeat([row.place for row in rows], counts)
        columns = np.concatenate([np.arange(count) for count in counts])
        self.values[places, columns] = scores


engine_registry: Registry[EngineMaker] = Registry("scoring engine")

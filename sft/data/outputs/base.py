"""What reads the answers of a task's rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.registry import Registry

if TYPE_CHECKING:
    from datasets import Dataset


class RowsRead(NamedTuple):
    """Rows of a split or a file, with their input texts. name: what error messages call them."""

    rows: Dataset
    inputs: Sequence[Mapping[str, str]]
    config: ExperimentConfig
    name: str

    @property
    def output_column(self) -> str:
        return self.config.prompting.output_column

    def place(self, row: int, column: str) -> str:
        """What error messages call a cell."""
        return f"{self.name}, column {column!r}, row {row}"


class Outputs(ABC):
    """Reads the output column, and whatever else holds answers. Registered under the task type's name."""

    def columns(self, config: ExperimentConfig) -> list[str]:
        """The columns that rows with answers have beside the input columns."""
        return [config.prompting.output_column]

    def labels(self, config: ExperimentConfig, train: Dataset) -> LabelSet | None:
        """The labels that all rows share; None for a task without."""
        return None

    def further_inputs(self, config: ExperimentConfig) -> list[str]:
        """The columns that rows without answers need beside the input columns."""
        return []

    def unanswered(self, read: RowsRead) -> list[Example]:
        """One example for each row, without its answer."""
        return [Example(i, text) for i, text in enumerate(read.inputs)]

    @abstractmethod
    def examples(self, read: RowsRead, labels: LabelSet | None) -> list[Example]:
        """One example for each row, with its answer. Raises `DataError`, naming the cell."""


output_registry: Registry[Outputs] = Registry("task type")

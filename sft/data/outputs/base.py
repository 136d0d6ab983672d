"""What reads the answers of a task's rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.registry import Registry

if TYPE_CHECKING:
    from datasets import Dataset


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

    def unanswered(
        self, rows: Dataset, inputs: Sequence[Mapping[str, str]], config: ExperimentConfig, place: str
    ) -> list[Example]:
        """One example for each row, without its answer. place: what error messages call the rows."""
        return [Example(i, text) for i, text in enumerate(inputs)]

    @abstractmethod
    def examples(
        self,
        rows: Dataset,
        inputs: Sequence[Mapping[str, str]],
        config: ExperimentConfig,
        labels: LabelSet | None,
        split: str,
    ) -> list[Example]:
        """One example for each row, whose input texts are given. Raises `DataError`, naming the split, the column and
        the row.
        """


output_registry: Registry[Outputs] = Registry("task type")


def where(split: str, column: str) -> str:
    """What error messages call a column."""
    return f"split {split!r}, column {column!r}"

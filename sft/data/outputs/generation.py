"""A text for each row, or a list of equally good texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.data.outputs.base import Outputs, output_registry, where
from sft.data.text import clean
from sft.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


class Generation(Outputs):
    def examples(
        self,
        rows: Dataset,
        inputs: Sequence[Mapping[str, str]],
        config: ExperimentConfig,
        labels: LabelSet | None,
        split: str,
    ) -> list[Example]:
        column = config.prompting.output_column
        return [
            Example(i, text, references=_references(output, f"{where(split, column)}, row {i}"))
            for i, (text, output) in enumerate(zip(inputs, rows[column], strict=True))
        ]


def _references(value: Any, place: str) -> tuple[str, ...]:
    """The reference texts of a row."""
    values = value if isinstance(value, list) else [value]
    if not values or any(item is None for item in values):
        raise DataError(f"{place}: the reference is missing", "remove the row, or fill it in")
    return tuple(clean(item) for item in values)


output_registry["generation"] = Generation()

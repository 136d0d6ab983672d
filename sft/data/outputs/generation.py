"""A text for each row, or a list of equally good texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sft.data.example import Example, LabelSet
from sft.data.outputs.base import Outputs, RowsRead, output_registry
from sft.data.text import clean
from sft.errors import DataError

if TYPE_CHECKING:
    pass


class Generation(Outputs):
    def examples(self, read: RowsRead, labels: LabelSet | None) -> list[Example]:
        column = read.output_column
        return [
            Example(i, text, references=_references(output, read.place(i, column)))
            for i, (text, output) in enumerate(zip(read.inputs, read.rows[column], strict=True))
        ]


def _references(value: Any, place: str) -> tuple[str, ...]:
    """The reference texts of a row."""
    values = value if isinstance(value, list) else [value]
    if not values or any(item is None for item in values):
        raise DataError(f"{place}: the reference is missing", "remove the row, or fill it in")
    return tuple(clean(item) for item in values)


output_registry["generation"] = Generation()

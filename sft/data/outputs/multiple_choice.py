"""Candidates of each row's own, and which of them is right."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sft.config.schema import ExperimentConfig
from sft.data.candidates import Candidates, in_columns, in_list, right_ones
from sft.data.example import Example, LabelSet
from sft.data.labels import class_names_of, label_name
from sft.data.outputs.base import Outputs, RowsRead, output_registry
from sft.data.text import clean
from sft.errors import DataError

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)


class MultipleChoice(Outputs):
    def columns(self, config: ExperimentConfig) -> list[str]:
        return [*_columns(config), config.prompting.output_column]

    def further_inputs(self, config: ExperimentConfig) -> list[str]:
        return _columns(config)

    def unanswered(self, read: RowsRead) -> list[Example]:
        offered = [one.offered() for one in _candidates(read)]
        return [
            Example(i, text, candidates=texts) for i, (text, texts) in enumerate(zip(read.inputs, offered, strict=True))
        ]

    def examples(self, read: RowsRead, labels: LabelSet | None) -> list[Example]:
        column, candidates = read.output_column, _candidates(read)
        class_names = class_names_of(read.rows, column)
        outputs = []
        for i, output in enumerate(read.rows[column]):
            if output is None:
                raise DataError(f"{read.place(i, column)}: the right candidate is missing", "fill it in")
            outputs.append(clean(label_name(output, class_names)))
        right = right_ones(candidates, outputs, lambda i: read.place(i, column))
        return [
            Example(i, text, label=label, candidates=one.offered())
            for i, (text, label, one) in enumerate(zip(read.inputs, right, candidates, strict=True))
        ]


def _columns(config: ExperimentConfig) -> list[str]:
    assert config.prompting.candidate_columns is not None
    return config.prompting.candidate_columns


def _candidates(read: RowsRead) -> list[Candidates]:
    """Of every row. Raises `DataError` for a row with fewer than two different ones."""
    columns, rows = _columns(read.config), read.rows
    if len(columns) == 1:
        found = [in_list(value, read.place(i, columns[0])) for i, value in enumerate(rows[columns[0]])]
    else:
        found = [in_columns(columns, values) for values in zip(*(rows[column] for column in columns), strict=True)]
    for i, one in enumerate(found):
        if len(one.offered()) < 2:
            raise DataError(
                f"{read.name}, row {i}: there is nothing to choose between: its candidates are {list(one.texts)}",
                "fill in the row's candidates, or remove the row",
            )
    repeated = [i for i, one in enumerate(found) if len(one.offered()) < sum(map(bool, one.texts))]
    if repeated:
        logger.warning(
            "%s: %d rows hold a candidate twice, which is scored as one (the first is row %d)",
            read.name,
            len(repeated),
            repeated[0],
        )
    return found


output_registry["multiple_choice"] = MultipleChoice()

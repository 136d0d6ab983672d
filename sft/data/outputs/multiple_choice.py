"""Candidates of each row's own, and which of them is right."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sft.config.schema import ExperimentConfig
from sft.data.candidates import Candidates, in_columns, in_list, right_ones
from sft.data.example import Example, LabelSet
from sft.data.labels import class_names_of, label_name
from sft.data.outputs.base import Outputs, output_registry, where
from sft.data.text import clean
from sft.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


class MultipleChoice(Outputs):
    def columns(self, config: ExperimentConfig) -> list[str]:
        return [*_columns(config), config.prompting.output_column]

    def further_inputs(self, config: ExperimentConfig) -> list[str]:
        return _columns(config)

    def unanswered(
        self, rows: Dataset, inputs: Sequence[Mapping[str, str]], config: ExperimentConfig, place: str
    ) -> list[Example]:
        offered = [one.offered() for one in _candidates(rows, config, place)]
        return [Example(i, text, candidates=texts) for i, (text, texts) in enumerate(zip(inputs, offered, strict=True))]

    def examples(
        self,
        rows: Dataset,
        inputs: Sequence[Mapping[str, str]],
        config: ExperimentConfig,
        labels: LabelSet | None,
        split: str,
    ) -> list[Example]:
        column = config.prompting.output_column
        candidates = _candidates(rows, config, f"split {split!r}")
        class_names = class_names_of(rows, column)
        outputs = []
        for i, output in enumerate(rows[column]):
            if output is None:
                raise DataError(f"{where(split, column)}, row {i}: the right candidate is missing", "fill it in")
            outputs.append(clean(label_name(output, class_names)))
        right = right_ones(candidates, outputs, lambda i: f"{where(split, column)}, row {i}")
        return [
            Example(i, text, label=label, candidates=one.offered())
            for i, (text, label, one) in enumerate(zip(inputs, right, candidates, strict=True))
        ]


def _columns(config: ExperimentConfig) -> list[str]:
    assert config.prompting.candidate_columns is not None
    return config.prompting.candidate_columns


def _candidates(rows: Dataset, config: ExperimentConfig, place: str) -> list[Candidates]:
    """Of every row. Raises `DataError` for a row with fewer than two different ones."""
    columns = _columns(config)
    if len(columns) == 1:
        found = [in_list(value, f"{place}, column {columns[0]!r}, row {i}") for i, value in enumerate(rows[columns[0]])]
    else:
        found = [in_columns(columns, values) for values in zip(*(rows[column] for column in columns), strict=True)]
    for i, one in enumerate(found):
        if len(one.offered()) < 2:
            raise DataError(
                f"{place}, row {i}: there is nothing to choose between: its candidates are {list(one.texts)}",
                "fill in the row's candidates, or remove the row",
            )
    repeated = [i for i, one in enumerate(found) if len(one.offered()) < sum(map(bool, one.texts))]
    if repeated:
        logger.warning(
            "%s: %d rows hold a candidate twice, which is scored as one (the first is row %d)",
            place,
            len(repeated),
            repeated[0],
        )
    return found


output_registry["multiple_choice"] = MultipleChoice()

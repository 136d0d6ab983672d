"""One label of the data set's for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.data.labels import class_names_of, label_name, label_set
from sft.data.outputs.base import Outputs, output_registry, where
from sft.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


class Classification(Outputs):
    def labels(self, config: ExperimentConfig, train: Dataset) -> LabelSet | None:
        return label_set(config, train)

    def examples(
        self,
        rows: Dataset,
        inputs: Sequence[Mapping[str, str]],
        config: ExperimentConfig,
        labels: LabelSet | None,
        split: str,
    ) -> list[Example]:
        assert labels is not None
        column = config.prompting.output_column
        class_names = class_names_of(rows, column)
        index = {name: i for i, name in enumerate(labels.names)}
        examples = []
        for i, (text, output) in enumerate(zip(inputs, rows[column], strict=True)):
            place = f"{where(split, column)}, row {i}"
            if output is None:
                raise DataError(f"{place}: the label is missing", "remove the row, or fill it in")
            name = label_name(output, class_names)
            if name not in index:
                raise DataError(
                    f"{place}: {name!r} is not among the labels ({', '.join(labels.names[:20])})",
                    "mend the row, or list all labels in dataset.labels",
                )
            examples.append(Example(i, text, label=index[name]))
        return examples


output_registry["classification"] = Classification()

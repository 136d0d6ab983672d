"""One label of the data set's for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.data.labels import class_names_of, label_name, label_set
from sft.data.outputs.base import Outputs, RowsRead, output_registry
from sft.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


class Classification(Outputs):
    def labels(self, config: ExperimentConfig, train: Dataset) -> LabelSet | None:
        return label_set(config, train)

    def examples(self, read: RowsRead, labels: LabelSet | None) -> list[Example]:
        assert labels is not None
        column = read.output_column
        class_names = class_names_of(read.rows, column)
        index = {name: i for i, name in enumerate(labels.names)}
        examples = []
        for i, (text, output) in enumerate(zip(read.inputs, read.rows[column], strict=True)):
            place = read.place(i, column)
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

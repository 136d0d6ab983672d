"""Any number of the data set's labels for each row: a list, or a text in which something separates them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.data.label_lists import LabelLists
from sft.data.labels import class_names_of, label_name, named_labels
from sft.data.outputs.base import Outputs, RowsRead, output_registry
from sft.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


class Multilabel(Outputs):
    def labels(self, config: ExperimentConfig, train: Dataset) -> LabelSet | None:
        column, separator = config.prompting.output_column, config.dataset.label_separator
        values = (value for output in train[column] for value in _values(output, separator) or ())
        names, verbalisations = named_labels(config.dataset, class_names_of(train, column), values, column)
        return LabelSet(names, verbalisations, exclusive=False)

    def examples(self, read: RowsRead, labels: LabelSet | None) -> list[Example]:
        assert labels is not None
        column, separator = read.output_column, read.config.dataset.label_separator
        class_names = class_names_of(read.rows, column)
        index = {name: i for i, name in enumerate(labels.names)}
        lists = LabelLists(labels.verbalisations) if not read.config.asks_about_labels else None
        examples = []
        for i, (text, output) in enumerate(zip(read.inputs, read.rows[column], strict=True)):
            place = read.place(i, column)
            values = _values(output, separator)
            if values is None or any(value is None for value in values):
                raise DataError(f"{place}: a label is missing", "fill it in; a row without labels has an empty list")
            names = [label_name(value, class_names) for value in values]
            unknown = [name for name in names if name not in index]
            if unknown:
                raise DataError(
                    f"{place}: {unknown[0]!r} is not among the labels ({', '.join(labels.names[:20])})",
                    "mend the row, set dataset.label_separator, or list all labels in dataset.labels",
                )
            held = tuple(sorted({index[name] for name in names}))
            examples.append(Example(i, text, labels=held, references=(lists.text(held),) if lists else ()))
        return examples


def _values(output: Any, separator: str) -> Sequence[Any] | None:
    """The labels of a row as the data has them; None where the row lacks them."""
    if isinstance(output, str):
        return [part.strip() for part in output.split(separator) if part.strip()]
    if output is None or isinstance(output, (list, tuple)):
        return output
    return [output]


output_registry["multilabel"] = Multilabel()

"""Data sets → examples: check the columns, resolve the labels, count what train and test share."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet, TaskData
from sft.data.labels import class_names_of, label_name, label_set
from sft.data.splits import load_file, load_splits
from sft.data.text import clean
from sft.errors import DataError
from sft.registry import unknown_name_fix

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def load_task(config: ExperimentConfig) -> TaskData:
    """Load both splits of a config's data set.

    Raises `DataError` naming what is there when a split, column or label is missing.
    """
    splits = load_splits(config.dataset)
    for name in ("train", "test"):
        if name not in splits:
            raise DataError(
                f"dataset.path {config.dataset.path!r} has no split {name!r}; it has: {', '.join(splits)}",
                "name the files train.* and test.*, or give dataset.path as a map from split to file",
            )
    columns = [*config.prompting.input_columns, config.prompting.output_column]
    for name in ("train", "test"):
        check_columns(splits[name].column_names, columns, f"split {name!r} of {config.dataset.path!r}")
    is_classification = config.dataset.task_type == "classification"
    labels = label_set(config, splits["train"]) if is_classification else None
    train = _examples(splits["train"], config, labels, "train")
    test = _examples(splits["test"], config, labels, "test")
    if not test:
        raise DataError(f"split 'test' of {config.dataset.path!r} is empty")
    seen = {tuple(example.inputs.values()) for example in test}
    kept = [example for example in train if tuple(example.inputs.values()) not in seen]
    duplicates = len(train) - len(kept)
    if duplicates:
        logger.info("%d training rows have the same inputs as test rows", duplicates)
    return TaskData(
        train=kept if config.dataset.deduplicate else train,
        test=test,
        labels=labels,
        test_rows=splits["test"],
        duplicates=duplicates,
        duplicates_dropped=config.dataset.deduplicate,
        fingerprint=fingerprint((train, test), labels),
    )


def load_unlabelled(path: str, config: ExperimentConfig, key: str = "--input") -> tuple[list[Example], Dataset]:
    """The rows of one file, which need only the input columns; and the rows with all their columns.

    key: what gave the path, for error messages.
    """
    rows = load_file(path, key, config.dataset)
    columns = config.prompting.input_columns
    check_columns(rows.column_names, columns, f"{key} {path!r}")
    examples = [Example(i, inputs) for i, inputs in enumerate(_input_texts(rows, columns))]
    if not examples:
        raise DataError(f"{key} {path!r} has no rows")
    return examples, rows


def check_columns(present: Sequence[str], needed: Sequence[str], where: str) -> None:
    for column in needed:
        if column not in present:
            raise DataError(
                f"{where} has no column {column!r}; it has: {', '.join(present)}", unknown_name_fix(column, present)
            )


def _examples(rows: Dataset, config: ExperimentConfig, labels: LabelSet | None, split: str) -> list[Example]:
    column = config.prompting.output_column
    inputs = _input_texts(rows, config.prompting.input_columns)
    outputs = list(rows[column])
    where = f"split {split!r}, column {column!r}"
    if labels is None:
        return [
            Example(i, text, references=_references(out, i, where))
            for i, (text, out) in enumerate(_zip(inputs, outputs))
        ]
    class_names = class_names_of(rows, column)
    index = {name: i for i, name in enumerate(labels.names)}
    examples = []
    for i, (text, output) in enumerate(_zip(inputs, outputs)):
        if output is None:
            raise DataError(f"{where}, row {i}: the label is missing", "remove the row, or fill it in")
        name = label_name(output, class_names)
        if name not in index:
            raise DataError(
                f"{where}, row {i}: {name!r} is not among the labels ({', '.join(labels.names[:20])})",
                "mend the row, or list all labels in dataset.labels",
            )
        examples.append(Example(i, text, label=index[name]))
    return examples


def _zip(inputs: Sequence[Mapping[str, str]], outputs: Sequence[Any]) -> Iterable[tuple[Mapping[str, str], Any]]:
    return zip(inputs, outputs, strict=True)


def _references(value: Any, row: int, where: str) -> tuple[str, ...]:
    """The reference texts of a row: a text, or a list of equally good texts."""
    values = value if isinstance(value, list) else [value]
    if not values or any(item is None for item in values):
        raise DataError(f"{where}, row {row}: the reference is missing", "remove the row, or fill it in")
    return tuple(clean(item) for item in values)


def _input_texts(rows: Dataset, columns: Sequence[str]) -> list[Mapping[str, str]]:
    texts = [[clean(value) for value in rows[column]] for column in columns]
    return [dict(zip(columns, values, strict=True)) for values in zip(*texts, strict=True)]


def fingerprint(splits: Sequence[list[Example]], labels: LabelSet | None) -> str:
    """SHA-256 over what prompts and evaluation read of every row, in order; and the labels' names."""
    digest = hashlib.sha256()
    digest.update(json.dumps(labels.names if labels else None).encode())
    for examples in splits:
        digest.update(b"\x00split")
        for example in examples:
            value = [dict(example.inputs), example.label, example.references]
            digest.update(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()

"""Data sets → examples: check the columns, resolve the labels, count what train and test share."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet, TaskData
from sft.data.outputs import RowsRead, output_registry
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
    outputs = output_registry[config.dataset.task_type]
    columns = [*config.prompting.input_columns, *outputs.columns(config)]
    for name in ("train", "test"):
        check_columns(splits[name].column_names, columns, f"split {name!r} of {config.dataset.path!r}")
    labels = outputs.labels(config, splits["train"])
    train, test = (
        outputs.examples(_read(splits[name], config, f"split {name!r}"), labels) for name in ("train", "test")
    )
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
    """The rows of one file, which need no answers; and the rows with all their columns.

    key: what gave the path, for error messages.
    """
    rows = load_file(path, key, config.dataset)
    outputs, place = output_registry[config.dataset.task_type], f"{key} {path!r}"
    check_columns(rows.column_names, [*config.prompting.input_columns, *outputs.further_inputs(config)], place)
    examples = outputs.unanswered(_read(rows, config, place))
    if not examples:
        raise DataError(f"{place} has no rows")
    return examples, rows


def check_columns(present: Sequence[str], needed: Sequence[str], where: str) -> None:
    for column in needed:
        if column not in present:
            raise DataError(
                f"{where} has no column {column!r}; it has: {', '.join(present)}", unknown_name_fix(column, present)
            )


def _read(rows: Dataset, config: ExperimentConfig, name: str) -> RowsRead:
    return RowsRead(rows, _input_texts(rows, config.prompting.input_columns), config, name)


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
            value: list[Any] = [dict(example.inputs), example.label, example.references]
            value += [example.candidates] if example.candidates else []
            value += [example.labels] if example.labels is not None else []
            digest.update(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()

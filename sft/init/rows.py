"""The rows of a data set, read as a run reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sft.config.schema import DatasetConfig
from sft.data.labels import class_names_of
from sft.data.splits import load_splits
from sft.errors import DataError
from sft.init.csv_form import csv_args

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, Any]
_LOOKED_AT = 10_000


class Source(NamedTuple):
    """A data set as it was found. path, args: for `dataset` of a config. test: None where there is no such split."""

    path: str | list[str]
    args: dict[str, Any]
    train: Dataset
    test: Dataset | None
    validation: Dataset | None


def read_source(paths: Sequence[str], args: Mapping[str, Any]) -> Source:
    """One hub id, folder or file, or several files. Csv files are read by the separator that they have.

    Raises `DataError` where there are no rows to learn from.
    """
    path = paths[0] if len(paths) == 1 else list(paths)
    args = {**csv_args(paths, args), **args}
    splits = _load(path, args)
    train = splits.get("train") or (next(iter(splits.values())) if len(splits) == 1 else None)
    if train is None or len(train) == 0:
        raise DataError(f"{path!r} has no rows to learn from; its splits are: {', '.join(splits)}", "name one train")
    return Source(path, args, train, splits.get("test"), splits.get("validation"))


def _load(path: str | list[str], args: Mapping[str, Any]) -> Mapping[str, Dataset]:
    import datasets

    datasets.disable_progress_bars()
    return load_splits(DatasetConfig(path=path, task_type="generation", args=dict(args)))


def table_of(rows: Dataset) -> dict[str, list[Any]]:
    """Column → values: of all rows, or of some thousand from everywhere, since files may be sorted."""
    if len(rows) > _LOOKED_AT:
        rows = rows.select([i * len(rows) // _LOOKED_AT for i in range(_LOOKED_AT)])
    return {name: list(rows[name]) for name in rows.column_names}


def class_names(rows: Dataset) -> dict[str, Sequence[str]]:
    """Of the columns that hold the numbers of named classes."""
    found = {name: class_names_of(rows, name) for name in rows.column_names}
    return {name: names for name, names in found.items() if names is not None}

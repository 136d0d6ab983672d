"""Texts as their files have them: loaders guess types, and `007`, `1.10` or `2020-01-01` come out as other texts."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, Features

logger = logging.getLogger(__name__)


def text_features(paths: Sequence[str], **args: Any) -> Features:
    """Every column of csv files as text; args: those of `load_dataset`.

    Raises `DataError` for a file of which pandas would shift the columns.
    """
    import datasets
    import pandas as pd

    builder = datasets.load_dataset_builder("csv", data_files=list(paths), **{**args, "features": None})
    reading = {**builder.config.pd_read_csv_kwargs, "chunksize": None, "nrows": 1}
    heads = [pd.read_csv(path, **reading) for path in paths]
    if args.get("index_col") is None:
        for path, head in zip(paths, heads, strict=True):
            _refuse_shifted(path, head)
    return datasets.Features({str(column): datasets.Value("string") for column in heads[0].columns})


def _refuse_shifted(path: str, head: Any) -> None:
    """A first row longer than the header, by an unquoted comma say: its first fields would be taken for names of rows,
    and all columns of all rows for those before them.
    """
    import pandas as pd

    if not isinstance(head.index, pd.RangeIndex):
        named, found = len(head.columns), len(head.columns) + head.index.nlevels
        raise DataError(
            f"{path!r}: the first row has {found} fields, and the header {named}",
            "put texts that hold the separator into quotes, or give every column a name",
        )


def warn_of_swallowed_rows(rows: Dataset, what: str) -> None:
    """Say how many values of a tab-separated file hold a tab and a line break: a quotation mark that opens a text and
    isn't closed takes in the following rows, up to the next such mark.
    """
    swallowed = sum(
        "\t" in text and "\n" in text for name in rows.column_names for text in rows[name] if isinstance(text, str)
    )
    if swallowed:
        logger.warning(
            "%s: %d values hold a tab and a line break, as where a quotation mark isn't closed and rows are lost in a "
            'text; if texts aren\'t in quotes there, set dataset.args to {"quoting": 3}',
            what,
            swallowed,
        )


def undo_date_parsing(rows: Dataset, paths: Sequence[str]) -> Dataset:
    """The rows of json files with their texts like "2020-01-01", which pyarrow reads as times, as they were written."""
    columns = rows.column_names
    parsed = [name for name, feature in rows.features.items() if "timestamp" in str(feature)]
    if not parsed:
        return rows
    written = [row for path in paths for row in _json_rows(Path(path))]
    if len(written) != len(rows):
        raise DataError(
            f"the texts of {', '.join(map(repr, parsed))} in {', '.join(paths)} look like dates and can't be read back",
            "write one JSON object a line",
        )
    for name in parsed:
        rows = rows.remove_columns(name).add_column(name, [row.get(name) for row in written])
    return rows.select_columns(columns)


def _json_rows(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("["):
        rows: list[dict[str, Any]] = json.loads(text)
        return rows
    return [json.loads(line) for line in text.split("\n") if line.strip()]

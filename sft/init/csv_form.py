"""How csv files are written: spreadsheets use other separators than commas, and other encodings than UTF-8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sft.errors import DataError

_SEPARATORS = (",", ";", "\t", "|")


def csv_args(paths: Sequence[str], args: Mapping[str, Any]) -> dict[str, Any]:
    """What to tell the loader of the csv files among `paths`, beside `args`: the separator, if it is no comma.

    Raises `DataError` for a file that isn't in UTF-8, unless `args` name an encoding.
    """
    found = {}
    for file in (file for path in paths for file in _csv_files(Path(path).expanduser())):
        if "encoding" not in args:
            _check_encoding(file)
        with file.open(encoding=args.get("encoding", "utf-8")) as lines:
            separator = separator_of(lines.readline())
        if separator != "," and not {"sep", "delimiter"} & args.keys():
            found["sep"] = separator
    return found


def separator_of(line: str) -> str:
    """What separates the names of columns; a comma if in doubt."""
    return max(_SEPARATORS, key=line.count)


def _csv_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.csv"))
    return [path] if path.suffix == ".csv" and path.is_file() else []


def _check_encoding(file: Path) -> None:
    try:
        with file.open(encoding="utf-8") as lines:
            for _ in lines:
                pass
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not in UTF-8 ({error.reason})",
            "save it as UTF-8 (in Excel: CSV UTF-8), or name its encoding: --dataset-arg encoding=cp1252 (Western), "
            "cp1256 (Arabic), gb18030 (Chinese), …",
        ) from None

"""Split name → rows, from wherever a data set is: the hub, a saved data set, files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.config.schema import DatasetConfig
from sft.data.verbatim import text_features, undo_date_parsing, warn_of_swallowed_rows
from sft.errors import DataError
from sft.locations import local_path

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

_BUILDERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


def load_splits(config: DatasetConfig) -> Mapping[str, Dataset]:
    """Split name → rows, from wherever `dataset.path` points."""
    if isinstance(config.path, dict):
        files = {split: [paths] if isinstance(paths, str) else paths for split, paths in config.path.items()}
        for file in (file for names in files.values() for file in names):
            _require_file(file)
        return _load_files(files, config)
    if isinstance(config.path, list):
        return _load_files(_by_split([_require_file(path) for path in config.path]), config)
    path = local_path(config.path, "dataset.path")
    if path is None:
        return _load_hub(config.path, config)
    if path.is_file():
        return _load_files(_by_split([path]), config)
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        return _load_saved(path, config)
    files_inside = sorted(file for file in path.iterdir() if file.suffix in _BUILDERS and _split_of(file))
    if not files_inside:
        names = ", ".join(sorted(entry.name for entry in path.iterdir())[:10]) or "nothing"
        raise DataError(
            f"dataset.path {config.path!r} holds no data file of a split; it holds: {names}",
            f"name the files train and test with one of the endings {', '.join(_BUILDERS)}",
        )
    return _load_files(_by_split(files_inside), config)


def load_file(path: str, key: str, config: DatasetConfig) -> Dataset:
    """The rows of one local file. key: what gave the path, for the error message."""
    file = local_path(path, key)
    if file is None or file.is_dir():
        raise DataError(f"{key} {path!r} is not a file", "give a csv, tsv, json, jsonl or parquet file")
    return _load_files({"input": [str(file)]}, config)["input"]


def _require_file(path: str) -> Path:
    file = local_path(path, "dataset.path")
    if file is None or not file.is_file():
        raise DataError(f"dataset.path: no file {path!r} (working directory: {Path.cwd()})", "mend the path")
    if file.suffix not in _BUILDERS:
        raise DataError(f"dataset.path: {path!r} has the unknown ending {file.suffix!r}", f"use {', '.join(_BUILDERS)}")
    return file


def _split_of(file: Path) -> str | None:
    """train.jsonl, train-00000-of-00002.parquet, my_test.csv → the split that the name tells; None for others."""
    words = file.stem.lower().replace("-", "_").replace(".", "_").split("_")
    for split, names in {"train": ("train",), "test": ("test",), "validation": ("validation", "valid", "dev")}.items():
        if any(name in words for name in names):
            return split
    return None


def _by_split(files: Sequence[Path]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for file in files:
        splits.setdefault(_split_of(file) or file.stem, []).append(str(file))
    return splits


def _load_files(files: Mapping[str, list[str]], config: DatasetConfig) -> Mapping[str, Dataset]:
    import datasets

    endings = {Path(path).suffix for paths in files.values() for path in paths}
    builders = {_BUILDERS.get(ending, "") for ending in endings}
    if len(builders) != 1 or "" in builders or {".csv", ".tsv"} <= endings:
        raise DataError(
            f"dataset.path mixes files of the endings {', '.join(sorted(endings))}",
            f"use one kind of {', '.join(_BUILDERS)}",
        )
    for path in (path for paths in files.values() for path in paths):
        if Path(path).stat().st_size == 0:
            raise DataError(f"the data file {path!r} is empty", "fill it, or remove it from dataset.path")
    args, builder, what = dict(config.args), builders.pop(), str(config.path)
    if builder == "csv":
        # Texts such as "None", "NA" or "null" are data, not missing values.
        args.setdefault("keep_default_na", False)
        if "delimiter" not in args:
            args.setdefault("sep", "\t" if ".tsv" in endings else ",")
    splits = {}
    for split, paths in files.items():
        # Each on its own: the loader would give all splits the columns of the first.
        if builder == "csv":
            args["features"] = _call_datasets(text_features, paths, args=args, what=what)
        # Not by its own name, which may be that of a file, and which the loader would refuse: "my reviews", "all".
        loaded = _call_datasets(datasets.load_dataset, builder, data_files={"rows": paths}, args=args, what=what)
        rows = _splits(loaded)["rows"]
        if args.get("sep") == "\t":
            warn_of_swallowed_rows(rows, ", ".join(paths))
        splits[split] = undo_date_parsing(rows, paths) if builder == "json" else rows
    return splits


def _load_saved(path: Path, config: DatasetConfig) -> Mapping[str, Dataset]:
    import datasets

    loaded = _call_datasets(datasets.load_from_disk, str(path), args=config.args, what=str(path))
    return loaded if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or "train"): loaded}


def _load_hub(name: str, config: DatasetConfig) -> Mapping[str, Dataset]:
    import datasets

    logger.info("no local %r: loading it from the hub", name)
    try:
        return _splits(_call_datasets(datasets.load_dataset, name, args=config.args, what=name))
    except DataError as error:
        raise DataError(error.message, f"{error.hint}; the working directory {Path.cwd()} holds no {name!r}") from error


def _splits(loaded: Any) -> Mapping[str, Dataset]:
    import datasets

    if not isinstance(loaded, datasets.DatasetDict):
        raise DataError(
            f"dataset.args make of dataset.path a {type(loaded).__name__}, not splits in memory",
            "remove `split` and `streaming` from them: both train and test are needed",
        )
    splits: Mapping[str, Dataset] = loaded
    return splits


def _call_datasets(function: Any, *positional: Any, args: Mapping[str, Any], what: str, **keywords: Any) -> Any:
    try:
        return function(*positional, **keywords, **args)
    except DataError:
        raise
    except Exception as error:  # the loaders raise whatever the file format, the hub or the network raise
        if "corresponds to no data" in str(error):  # how the loader says that a split is empty
            raise DataError(f"{what!r} has a file without rows", "add rows, or remove it from dataset.path") from error
        cause = error.__cause__ or error.__context__
        detail = f"{type(error).__name__}: {error}" + (f" ({cause})" if cause and str(cause) not in str(error) else "")
        raise DataError(
            f"can't load the data set {what!r} as a local path or a hub id: {detail}",
            "check dataset.path and dataset.args; offline, only local paths and cached hub data sets work",
        ) from error

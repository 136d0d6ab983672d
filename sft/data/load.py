"""Data sets → examples: find the splits, check the columns, resolve the labels, count what train and test share."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.config.schema import DatasetConfig, ExperimentConfig
from sft.data.example import Example, LabelSet, TaskData
from sft.data.text import clean
from sft.errors import DataError
from sft.locations import local_path
from sft.registry import unknown_name_fix

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

_BUILDERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


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
    labels = _label_set(config, splits["train"]) if is_classification else None
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
        fingerprint=_fingerprint((train, test), labels),
    )


def load_unlabelled(path: str, config: ExperimentConfig) -> tuple[list[Example], Dataset]:
    """The rows of one file to predict, which need only the input columns; and the rows with all their columns."""
    file = local_path(path, "--input")
    if file is None or file.is_dir():
        raise DataError(f"--input {path!r} is not a file", "give a csv, tsv, json, jsonl or parquet file")
    rows = _load_files({"input": [str(file)]}, config.dataset)["input"]
    columns = config.prompting.input_columns
    check_columns(rows.column_names, columns, f"--input {path!r}")
    examples = [Example(i, inputs) for i, inputs in enumerate(_input_texts(rows, columns))]
    if not examples:
        raise DataError(f"--input {path!r} has no rows")
    return examples, rows


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


def check_columns(present: Sequence[str], needed: Sequence[str], where: str) -> None:
    for column in needed:
        if column not in present:
            raise DataError(
                f"{where} has no column {column!r}; it has: {', '.join(present)}", unknown_name_fix(column, present)
            )


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
    args = dict(config.args)
    if builders == {"csv"}:
        # Texts such as "None", "NA" or "null" are data, not missing values.
        args.setdefault("keep_default_na", False)
        args.setdefault("sep", "\t" if ".tsv" in endings else ",")
    loaded: Mapping[str, Dataset] = _call_datasets(
        datasets.load_dataset, builders.pop(), data_files=dict(files), args=args, what=str(config.path)
    )
    return loaded


def _load_saved(path: Path, config: DatasetConfig) -> Mapping[str, Dataset]:
    import datasets

    loaded = _call_datasets(datasets.load_from_disk, str(path), args=config.args, what=str(path))
    return loaded if isinstance(loaded, datasets.DatasetDict) else {str(loaded.split or "train"): loaded}


def _load_hub(name: str, config: DatasetConfig) -> Mapping[str, Dataset]:
    import datasets

    logger.info("no local %r: loading it from the hub", name)
    loaded = _call_datasets(datasets.load_dataset, name, args=config.args, what=name)
    if isinstance(loaded, datasets.Dataset):
        raise DataError("dataset.args.split leaves one split", "remove it: both train and test are needed")
    splits: Mapping[str, Dataset] = loaded
    return splits


def _call_datasets(function: Any, *positional: Any, args: Mapping[str, Any], what: str, **keywords: Any) -> Any:
    try:
        return function(*positional, **keywords, **args)
    except Exception as error:  # the loaders raise whatever the file format, the hub or the network raise
        cause = error.__cause__ or error.__context__
        detail = f"{type(error).__name__}: {error}" + (f" ({cause})" if cause and str(cause) not in str(error) else "")
        raise DataError(
            f"can't load the data set {what!r} as a local path or a hub id: {detail}",
            "check dataset.path and dataset.args; offline, only local paths and cached hub data sets work",
        ) from error


def _label_set(config: ExperimentConfig, train: Dataset) -> LabelSet:
    column = config.prompting.output_column
    given = config.dataset.labels
    class_names = getattr(train.features[column], "names", None)
    if isinstance(given, dict):
        verbalised = {_class_name(value, class_names): text for value, text in given.items()}
    elif given is not None:
        verbalised = {_class_name(value, class_names): _class_name(value, class_names) for value in given}
    elif class_names is not None:
        verbalised = {name: name for name in class_names}
    else:
        values = {_value_text(value) for value in train[column] if value is not None}
        verbalised = {value: value for value in sorted(values, key=_natural_order)}
    if not verbalised:
        raise DataError(f"the train split's column {column!r} holds no label", "list them in dataset.labels")
    _check_verbalisations(verbalised)
    return LabelSet(tuple(verbalised), tuple(verbalised.values()))


def _class_name(value: str, class_names: Sequence[str] | None) -> str:
    """The name of a ClassLabel value, which a config may give by name or by number."""
    if class_names is None or value in class_names:
        return value
    return class_names[int(value)] if value.isdigit() and int(value) < len(class_names) else value


def _check_verbalisations(verbalised: Mapping[str, str]) -> None:
    for name, text in verbalised.items():
        if not text.strip():
            raise DataError(f"dataset.labels: the verbalisation of {name!r} is empty", "give it a text")
    repeated = [text for text, count in Counter(text.strip() for text in verbalised.values()).items() if count > 1]
    if repeated:
        names = [name for name, text in verbalised.items() if text.strip() == repeated[0]]
        raise DataError(
            f"dataset.labels: {' and '.join(map(repr, names))} have the same verbalisation {repeated[0]!r}",
            "make the verbalisations different",
        )


def _natural_order(value: str) -> tuple[int, float, str]:
    """Numbers by size, before texts by spelling."""
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)


def _value_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
    class_names = getattr(rows.features[column], "names", None)
    index = {name: i for i, name in enumerate(labels.names)}
    examples = []
    for i, (text, output) in enumerate(_zip(inputs, outputs)):
        name = _output_name(output, class_names)
        if name not in index:
            raise DataError(
                f"{where}, row {i}: {name!r} is not among the labels ({', '.join(labels.names[:20])})",
                "mend the row, or list all labels in dataset.labels",
            )
        examples.append(Example(i, text, label=index[name]))
    return examples


def _zip(inputs: Sequence[Mapping[str, str]], outputs: Sequence[Any]) -> Iterable[tuple[Mapping[str, str], Any]]:
    return zip(inputs, outputs, strict=True)


def _output_name(value: Any, class_names: Sequence[str] | None) -> str:
    if class_names is not None and isinstance(value, int) and 0 <= value < len(class_names):
        return class_names[value]
    return _value_text(value)


def _references(value: Any, row: int, where: str) -> tuple[str, ...]:
    """The reference texts of a row: a text, or a list of equally good texts."""
    values = value if isinstance(value, list) else [value]
    if not values or any(item is None for item in values):
        raise DataError(f"{where}, row {row}: the reference is missing", "remove the row, or fill it in")
    return tuple(clean(item) for item in values)


def _input_texts(rows: Dataset, columns: Sequence[str]) -> list[Mapping[str, str]]:
    texts = [[clean(value) for value in rows[column]] for column in columns]
    return [dict(zip(columns, values, strict=True)) for values in zip(*texts, strict=True)]


def _fingerprint(splits: Sequence[list[Example]], labels: LabelSet | None) -> str:
    """SHA-256 over what prompts and evaluation read of every row, in order; and the labels' names."""
    digest = hashlib.sha256()
    digest.update(json.dumps(labels.names if labels else None).encode())
    for examples in splits:
        digest.update(b"\x00split")
        for example in examples:
            value = [dict(example.inputs), example.label, example.references]
            digest.update(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()

"""The local files that a run reads, and whether they are as they were. Nothing is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sft.config.schema import ExperimentConfig

Stamps = dict[str, list[int]]
"""Absolute path → size in bytes, and time of the last change in nanoseconds."""


def data_stamps(config: ExperimentConfig) -> Stamps:
    """Of the files of the data set, if it is local."""
    return _stamps(_data_files(config))


def input_stamps(config: ExperimentConfig) -> Stamps:
    """Of everything local that a run reads: data, model, chat template, a calibration's file, metrics' scripts."""
    paths = [*_data_files(config)]
    for name in (config.model.name, config.model.chat_template_from):
        if name is not None:
            paths += _files(name, deep=False)
    calibration = config.inference_or_default.calibration
    unlabelled = calibration.args.get("unlabelled_path") if calibration else None
    if isinstance(unlabelled, str):
        paths += _files(unlabelled, deep=False)
    for name in config.evaluation.metrics or ():
        _, colon, path = name.partition(":")
        paths += _files(path, deep=False) if colon else []
    return _stamps(paths)


def _data_files(config: ExperimentConfig) -> Iterator[Path]:
    for name in _texts(config.dataset.path):
        yield from _files(name, deep=True)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _files(name: str, *, deep: bool) -> list[Path]:
    """The file of that name, or the files in the folder of that name; none for hub ids."""
    path = Path(name).expanduser()
    if path.is_dir():
        return [file for file in (path.rglob("*") if deep else path.iterdir()) if file.is_file()]
    return [path] if path.is_file() else []


def _stamps(paths: Any) -> Stamps:
    found = {}
    for path in sorted({path.resolve() for path in paths}):
        status = path.stat()
        found[str(path)] = [status.st_size, status.st_mtime_ns]
    return found

"""The files of a first experiment: the config or sweep, and the rows where they had to be written anew."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sft.config.load import load_configs
from sft.data.load import load_task
from sft.errors import SftError
from sft.init.draft import Choices, Entry, draft, entry
from sft.init.methods import method_registry
from sft.init.rows import Row
from sft.init.task import Task
from sft.init.write import json_text, jsonnet_text, sweep_text
from sft.records import write_bytes, write_text, writing

SWEEP_SEEDS = (13, 14, 15)


def data_folder(out: Path) -> Path:
    """Where rows go that are written anew: beside the config."""
    return out.with_name(f"{out.stem}-data")


def refuse_existing(out: Path, task: Task, force: bool) -> None:
    """Raises `SftError` for what would be overwritten, unless `force`."""
    if out.suffix not in (".jsonnet", ".json"):
        raise SftError(f"--out {str(out)!r} is neither .jsonnet nor .json", "e.g. --out config.jsonnet")
    made = [out, *(_split_files(data_folder(out), task.written) if task.written else ())]
    there = [str(path) for path in made if path.exists()]
    if there and not force:
        raise SftError(f"{', '.join(there)}: there already", "give another --out, or --force to write anew")


def make(out: Path, task: Task, choices: Choices, methods: Sequence[str], *, sweep: bool) -> list[Path]:
    """Write a config, of the one method, or a sweep over methods and seeds; returns what was written, the config last.

    It is loaded, with its data, before it has its name. Raises `SftError` where that is wrong, or can't be written.
    """
    text = _sweep(out, task, choices, methods) if sweep else _config(out, task, choices, methods[0])
    rows = task.written or {}
    with (
        writing(f"--out {str(out)!r}"),
        _written(data_folder(out), rows) as files,
        _draft_file(out, text) as draft_file,
    ):
        loaded = load_configs(draft_file)
        load_task(loaded[0].config)
        draft_file.replace(out)
    return [*files, out]


def _config(out: Path, task: Task, choices: Choices, method: str) -> str:
    entries = [*draft(task, choices), *method_registry[method](task, choices)]
    if any(each.key[0] == "training" for each in entries):
        entries.append(entry("training.trainer_args.output_dir", f"outputs/{choices.name}", "where `sft train` saves"))
    if out.suffix == ".json":
        return json_text(entries)
    return jsonnet_text(entries, [f"Run it: sft run-experiment {out}", *_about(task)])


def _sweep(out: Path, task: Task, choices: Choices, methods: Sequence[str]) -> str:
    if out.suffix != ".jsonnet":
        raise SftError(f"--sweep is written as JSONNET, and --out is {str(out)!r}", "e.g. --out sweep.jsonnet")
    added: Mapping[str, Sequence[Entry]] = {name: method_registry[name](task, choices) for name in methods}
    head = [
        f"{', '.join(methods)}: which is best, and by how much? Run all: sft run-experiments {out}",
        "Three seeds show the spread; five or more are what a claim needs.",
        *_about(task),
    ]
    return sweep_text(draft(task, choices), added, SWEEP_SEEDS, head)


def _about(task: Task) -> list[str]:
    return [f"The rows: {reason}." for reason in task.reasons]


@contextlib.contextmanager
def _written(folder: Path, splits: Mapping[str, Sequence[Row]]) -> Iterator[list[Path]]:
    """Files of rows, which stay if all goes well; else all is as it was."""
    files = _split_files(folder, splits)
    before = {file: file.read_bytes() if file.exists() else None for file in files}
    try:
        for file, rows in zip(files, splits.values(), strict=True):
            write_text(file, "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows))
        yield files
    except BaseException:
        for file, content in before.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                write_bytes(file, content)
        raise


def _split_files(folder: Path, splits: Mapping[str, Sequence[Row]]) -> list[Path]:
    return [folder / f"{split}.jsonl" for split in splits]


@contextlib.contextmanager
def _draft_file(out: Path, text: str) -> Iterator[Path]:
    """The text under another name, which is gone in the end."""
    path = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    write_text(path, text)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)

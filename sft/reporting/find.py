"""Folders given by a user → the runs in them, what is missing, and what can't be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.evaluation.resampling import JudgedRun
from sft.planned import PLANS, Planned, read_plans
from sft.records import RECORD_FILE, RunRecord, read_record
from sft.reporting.judged import read_judged


class FoundRun(NamedTuple):
    """judged: what its items say; None for a failed run and for one whose items can't be read."""

    folder: Path
    record: RunRecord
    judged: JudgedRun | None


class Found(NamedTuple):
    """runs: finished and failed. missing: planned, without any record. notes: what couldn't be read, by file."""

    runs: list[FoundRun]
    missing: list[Planned]
    notes: list[str]

    @property
    def by_name(self) -> dict[str, FoundRun]:
        """By what the run's folder was called when it was written (`RunRecord.folder_name`): it may be renamed since.

        Of copies of a run in several places, that which finished last.
        """
        ended = sorted(self.runs, key=lambda run: (run.record.status == "completed", run.record.finished_at))
        return {run.record.folder_name: run for run in ended}


def find_results(paths: Sequence[Path]) -> Found:
    """The runs in folders of runs and in folders of results; one broken file doesn't make the others unreadable.

    A failed attempt at a run that finished later is left out.
    """
    records: dict[Path, RunRecord] = {}
    planned: dict[str, Planned] = {}
    notes: list[str] = []
    for path in paths:
        for folder in run_folders(path):
            try:
                records[folder.resolve()] = _checked(read_record(folder), folder)
            except SftError as error:
                notes.append(f"Left out: {error.message}")
            except OSError as error:
                notes.append(f"Left out: {folder / RECORD_FILE}: {error.strerror or error}")
        try:
            planned |= {run.plan_id: run for run in read_plans(path)}
        except SftError as error:
            notes.append(f"What is missing is not known: {error.message}")
    finished = {record.plan_id for record in records.values() if record.status == "completed"} - {None}
    runs = [
        _read(folder, record, notes)
        for folder, record in records.items()
        if record.status == "completed" or record.plan_id not in finished
    ]
    attempted = {record.plan_id for record in records.values()}
    return Found(runs, [run for run in planned.values() if run.plan_id not in attempted], notes)


def run_folder(path: Path) -> Path:
    """The folder of one run, given as that or as its record. Raises `SftError` for anything else."""
    folder = path.parent if path.name == RECORD_FILE else path
    if not (folder / RECORD_FILE).is_file():
        raise SftError(f"{path}: no {RECORD_FILE} in it", "give the folder of a run, or its record.json")
    return folder


def run_folders(path: Path) -> list[Path]:
    """The folder of one run, or all of those directly in a folder of results, by name."""
    if path.name == RECORD_FILE or (path / RECORD_FILE).exists():
        return [run_folder(path)]
    return sorted(record.parent for record in path.glob(f"*/{RECORD_FILE}"))


def check_results(path: Path) -> None:
    """Raises `SftError` for a path without any record or plan."""
    if not run_folders(path) and not (path / PLANS).exists():
        what = f"no {RECORD_FILE} in it or directly below it" if path.is_dir() else "no such folder"
        raise SftError(f"{path}: {what}", "give the folder of a run, or the results path of several")


def _checked(record: RunRecord, folder: Path) -> RunRecord:
    """The record, if its config is one that this version knows."""
    try:
        ExperimentConfig.model_validate(record.config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise SftError(
            f"{folder / RECORD_FILE}: this version of sft can't read its config: {key}: {first['msg']}"
        ) from None
    return record


def _read(folder: Path, record: RunRecord, notes: list[str]) -> FoundRun:
    if record.status != "completed":
        return FoundRun(folder, record, None)
    try:
        return FoundRun(folder, record, read_judged(folder, record))
    except SftError as error:
        notes.append(f"No interval over test rows and no test for this run: {error.message}")
        return FoundRun(folder, record, None)

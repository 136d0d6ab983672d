"""A sweep's runs in this process, one after another: what the workers of every launcher do."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from sft.errors import SftError
from sft.experiments.claims import LostClaim, take
from sft.experiments.failure import forget_failure, write_failure
from sft.experiments.plan import PlannedRun
from sft.experiments.protocol import Ended, Settings, TaskValue
from sft.models.process_state import unchanged_process
from sft.pipeline.derive import also_needed, derive
from sft.pipeline.run import Run, RunOptions, Started, complete, start
from sft.pipeline.session import Session
from sft.records import RECORD_FILE, UNFINISHED, RunRecord, read_record, write_record
from sft.tracking import Trackers

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Is told, as it happens, which run begins and what it does."""

    def begins(self, run: str) -> None: ...

    def stage(self, run: str, stage: str) -> None: ...


class Executor:
    """Does tasks, and keeps a loaded model from one to the next."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._results = Path(settings.results_path)
        self._session = Session()
        self._listener = listener

    @property
    def unfit(self) -> str | None:
        """Why no further run should happen in this process; None: nothing speaks against it."""
        return self._session.models.changed

    def run(self, task: TaskValue) -> Iterator[Ended]:
        """Every run of a task in turn. `KeyboardInterrupt` goes through, after what could be saved was saved."""
        source = None if task.answers is None else _finished(Path(task.answers))
        runs = task.runs()
        for i, run in enumerate(runs):
            self._listener.begins(run.name)
            ended = None if source is None else self._derive(run, source)
            if ended is None:
                ended = self._run(run, runs[i + 1 :], task.smaller)
            if ended.status == "completed" and source is None:
                source = _finished(Path(ended.folder))
            yield ended
            if ended.status in ("busy", "out of memory"):
                return
            if ended.status == "failed" and i == 0:
                yield from self._fail_rest(runs[1:], ended)
                return

    def _derive(self, run: PlannedRun, source: Run) -> Ended | None:
        """From the answers of another run; None where they don't suffice."""
        try:
            self._listener.stage(run.name, "evaluation")
            found = derive(source.folder, source.record, run.config, self._results, run.name, anew=self._settings.force)
        except SftError as error:
            return self._failed(run, str(error), None)
        if found is None:
            return None
        record, folder = found
        _tell_trackers(run, record, folder)
        return Ended(run.name, "completed", str(folder))

    def _run(self, run: PlannedRun, others: Sequence[PlannedRun], smaller: int) -> Ended:
        started: Started | None = None
        try:
            with unchanged_process():
                self._listener.stage(run.name, "data")
                started = start(
                    run.config, self._results, trains=run.config.has_shots, name=run.name, session=self._session
                )
                started.log.on_stage = lambda stage: self._listener.stage(run.name, stage)
                return self._claim_and_complete(run, started, others, smaller)
        except LostClaim:
            assert started is not None
            return Ended(run.name, "busy", str(started.folder))
        except Exception as error:  # whatever stops this run must not stop the sweep
            traceback.print_exc()
            if _is_out_of_memory(error):
                self._session.models.changed = "memory ran out"
                if smaller == 1:
                    return Ended(run.name, "out of memory", "" if started is None else str(started.folder), str(error))
            message = str(error) if isinstance(error, SftError) else f"{type(error).__name__}: {error}"
            return self._failed(run, message, started)

    def _claim_and_complete(
        self, run: PlannedRun, started: Started, others: Sequence[PlannedRun], smaller: int
    ) -> Ended:
        folder = started.folder
        claim = take(folder, self._settings.owner)
        if claim is None:
            return Ended(run.name, "busy", str(folder))
        is_complete = False
        try:
            if self._settings.force:
                shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
            elif (record := self._ended_before(started)) is not None:
                is_complete = record.status == "completed"
                return Ended(run.name, record.status, str(folder), record.error)
            options = RunOptions(
                keep_adapter=self._settings.keep_adapters,
                also=also_needed([other.config for other in others]),
                smaller=smaller,
                before_record=claim.check,
            )
            complete(started, options)
            is_complete = True
            forget_failure(run.config, self._results)
            return Ended(run.name, "completed", str(folder))
        finally:
            claim.release(complete=is_complete)

    def _ended_before(self, started: Started) -> RunRecord | None:
        """The record that leaves nothing to do. It learns the times of files whose content is as it was."""
        if not (started.folder / RECORD_FILE).exists():
            return None
        record = read_record(started.folder)
        if not self._settings.has_ended(record):
            return None
        if record.inputs != started.inputs or record.plan_id != started.plan_id:
            record.inputs, record.plan_id = dict(started.inputs), started.plan_id
            write_record(record, started.folder)
        return record

    def _failed(self, run: PlannedRun, message: str, started: Started | None) -> Ended:
        identity = None if started is None else started.run_id
        folder = write_failure(run.config, self._results, run.name, message, identity)[1]
        return Ended(run.name, "failed", str(folder), message)

    def _fail_rest(self, runs: Sequence[PlannedRun], first: Ended) -> Iterator[Ended]:
        for run in runs:
            yield self._failed(run, f"the run {first.name!r}, whose answers it would use, failed: {first.error}", None)


def _tell_trackers(run: PlannedRun, record: RunRecord, folder: Path) -> None:
    """Of a run that is complete already, so that a tracker that can't be started costs it nothing."""
    try:
        with Trackers(run.config, record.run_id, folder, run.name) as trackers:
            trackers.conclude(record)
    except SftError as error:
        logger.warning("%s: %s", run.name, error)


def _finished(folder: Path) -> Run:
    return Run(read_record(folder), folder)


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

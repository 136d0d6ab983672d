"""The tasks of a sweep that wait for a worker, and what becomes of those whose worker didn't finish them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sft.config.schema import ExperimentConfig
from sft.experiments.claims import is_claimed
from sft.experiments.failure import write_failure
from sft.experiments.outcome import RunOutcome
from sft.experiments.plan import PlannedRun
from sft.experiments.protocol import Ended, Settings, TaskValue
from sft.records import RECORD_FILE, read_record

_SECONDS_BETWEEN_LOOKS = 1.0
_DEFAULT_BATCH = 8
_LOST_AT_MOST = 3


@dataclass(frozen=True)
class QueuedTask:
    """The runs of a task that are still to be done.

    model: the same for tasks that can use one loaded model. answers: folder of a complete run of the task. smaller:
    what batches are divided by, after memory ran out. crashed: whether a worker ended in the first of the runs. lost:
    how many machines were lost in the midst of it.
    """

    runs: tuple[PlannedRun, ...]
    model: str
    answers: str | None = None
    smaller: int = 1
    crashed: bool = False
    lost: int = 0

    def value(self) -> TaskValue:
        return TaskValue(
            [run.name for run in self.runs],
            [run.config.model_dump(mode="json") for run in self.runs],
            [run.plan_id for run in self.runs],
            self.answers,
            self.smaller,
        )


class TaskQueue:
    """Tasks in order. One that failed for want of memory, or whose process was killed, is tried once more."""

    def __init__(self, tasks: Sequence[QueuedTask], settings: Settings) -> None:
        self._waiting = list(tasks)
        self._busy: list[tuple[QueuedTask, Path]] = []
        self._settings = settings
        self._looked = 0.0

    def __len__(self) -> int:
        """Tasks that nobody of this sweep works on."""
        return len(self._waiting) + len(self._busy)

    @property
    def waiting(self) -> int:
        """Tasks that could begin now."""
        return len(self._waiting)

    def next(self, model: str | None) -> QueuedTask | None:
        """The next task that uses the model which a worker has loaded, else the next; None: there is none to begin."""
        if not self._waiting:
            return None
        same = (i for i, task in enumerate(self._waiting) if task.model == model)
        return self._waiting.pop(next(same, 0))

    def ended(self, task: QueuedTask, ended: Ended) -> tuple[QueuedTask, RunOutcome | None]:
        """What is left of a task after the end of its first run, and that run's outcome, if it is known."""
        if ended.status == "busy":
            self._busy.append((task, Path(ended.folder)))
            return replace(task, runs=()), None
        if ended.status == "out of memory":
            self._waiting.insert(0, replace(task, smaller=2))
            return replace(task, runs=()), None
        folder = Path(ended.folder)
        answers = task.answers or (ended.folder if ended.status == "completed" else None)
        left = replace(task, runs=task.runs[1:], answers=answers, crashed=False, lost=0)
        return left, RunOutcome(ended.name, read_record(folder), folder)

    def crashed(self, task: QueuedTask, error: str, *, killed: bool) -> Iterator[RunOutcome]:
        """After a worker ended in the midst of a task. killed: by SIGKILL, as systems do that are out of memory."""
        if not task.runs:
            return
        first, *others = task.runs
        if killed and not task.crashed:
            smaller = 2 if _batch(first.config) > 1 else 1
            self._waiting.insert(0, replace(task, smaller=smaller, crashed=True))
            return
        yield self._fail(first, error)
        for run in others:
            yield self._fail(run, f"the run {first.name!r}, whose answers it would use, failed: {error}")

    def lost(self, task: QueuedTask, error: str) -> Iterator[RunOutcome]:
        """After the machine of a worker was lost in the midst of a task, for which the task is hardly to blame."""
        if task.lost < _LOST_AT_MOST:
            if task.runs:
                self._waiting.insert(0, replace(task, lost=task.lost + 1))
            return
        yield from self.crashed(task, f"{error} (tried {task.lost + 1} times)", killed=False)

    def look_at_busy(self) -> Iterator[RunOutcome]:
        """Runs that another scheduler finished meanwhile; those that it left are waiting again."""
        if not self._busy or time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        busy, self._busy = self._busy, []
        for task, folder in busy:
            if is_claimed(folder):
                self._busy.append((task, folder))
                continue
            if (folder / RECORD_FILE).exists() and self._settings.has_ended(record := read_record(folder)):
                yield RunOutcome(task.runs[0].name, record, folder)
                answers = str(folder) if record.status == "completed" else None
                task = replace(task, runs=task.runs[1:], answers=task.answers or answers)
            if task.runs:
                self._waiting.append(task)

    def _fail(self, run: PlannedRun, error: str) -> RunOutcome:
        record, folder = write_failure(run.config, Path(self._settings.results_path), run.name, error)
        return RunOutcome(run.name, record, folder)


def _batch(config: ExperimentConfig) -> int:
    args = config.training.trainer_args if config.training and config.has_shots else {}
    return int(args.get("per_device_train_batch_size", _DEFAULT_BATCH))

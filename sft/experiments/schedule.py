"""What of a sweep is done already, and what is left for a launcher."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sft.config.load import NamedConfig
from sft.errors import SftError
from sft.experiments.outcome import RunOutcome
from sft.experiments.plan import PlannedRun, plan, tasks_of
from sft.experiments.queue import QueuedTask
from sft.experiments.store import Store
from sft.records import RunRecord


@dataclass(frozen=True)
class Schedule:
    """runs: all of the sweep. ended: those that needn't run, by name. tasks: the rest, grouped by what they share.

    seconds: what each run of the tasks may take, by name: None where nothing like it was run.
    """

    runs: Sequence[PlannedRun]
    ended: dict[str, RunOutcome]
    tasks: Sequence[QueuedTask]
    seconds: dict[str, float | None]


def schedule(
    configs: Sequence[NamedConfig],
    results_path: Path,
    *,
    only: Sequence[str] = (),
    force: bool = False,
    retry_failed: bool = False,
) -> Schedule:
    """Plan a sweep on what its results folder holds.

    only: shell patterns of names; other runs are left as they are. force: run again what is complete. retry_failed: run
    again what failed. Raises `SftError` for a pattern that no name fits.
    """
    runs = plan(configs)
    chosen = _chosen(runs, only)
    store = Store(results_path)
    ended: dict[str, RunOutcome] = {}
    for run in chosen:
        found = None if force else store.ended(run)
        if found is not None and not (retry_failed and found[1].status == "failed"):
            ended[run.name] = RunOutcome(run.name, found[1], found[0], was_there=True)
    tasks = []
    for task in tasks_of(chosen):
        left = tuple(run for run in task.runs if run.name not in ended)
        answers = next((str(one.folder) for run in task.runs if (one := _complete(ended, run)) is not None), None)
        if left:
            tasks.append(QueuedTask(left, task.model, answers))
    costs = _Costs(store.records())
    seconds = {
        run.name: costs.of(run, derived=i > 0 or task.answers is not None)
        for task in tasks
        for i, run in enumerate(task.runs)
    }
    return Schedule(chosen, ended, tasks, seconds)


def _chosen(runs: Sequence[PlannedRun], only: Sequence[str]) -> list[PlannedRun]:
    for pattern in only:
        if not any(fnmatchcase(run.name, pattern) for run in runs):
            names = ", ".join(run.name for run in runs[:10])
            raise SftError(f"--only {pattern!r} fits no run", f"the runs: {names}{', …' if len(runs) > 10 else ''}")
    return [run for run in runs if not only or any(fnmatchcase(run.name, pattern) for pattern in only)]


def _complete(ended: dict[str, RunOutcome], run: PlannedRun) -> RunOutcome | None:
    outcome = ended.get(run.name)
    return outcome if outcome is not None and outcome.record.status == "completed" else None


class _Costs:
    """Median seconds of complete runs with the same model, data set, task, shots and test rows asked for."""

    def __init__(self, records: Sequence[RunRecord]) -> None:
        by_kind: dict[str, list[float]] = {}
        for record in records:
            derived = "scores_of" in record.inference or "answers_of" in record.inference
            if record.status == "completed" and not derived:
                by_kind.setdefault(_kind(record.config), []).append(record.timings.get("total", 0.0))
        self._by_kind = {kind: statistics.median(seconds) for kind, seconds in by_kind.items()}

    def of(self, run: PlannedRun, *, derived: bool) -> float | None:
        return 0.0 if derived else self._by_kind.get(_kind(run.config.model_dump(mode="json")))


def _kind(config: dict[str, object]) -> str:
    dataset = dict(config["dataset"])  # type: ignore[call-overload]
    return str([config["model"], dataset["path"], dataset["task_type"], dataset["shots"], dataset["max_n_test"]])

"""What becomes of tasks whose worker didn't finish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft.experiments.claims import take
from sft.experiments.failure import write_failure
from sft.experiments.plan import PlannedRun
from sft.experiments.protocol import Ended, Settings
from sft.experiments.queue import QueuedTask, TaskQueue
from sft.pipeline.canonical import plan_id
from sft.records import RunRecord, write_record
from tests.fakes import make_config

LONG_AGO, LATER = "2000-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"


def task(*names: str, model: str = "m", **sections: Any) -> QueuedTask:
    configs = [make_config(seed=i, **sections) for i in range(len(names))]
    runs = tuple(PlannedRun(name, config, plan_id(config)) for name, config in zip(names, configs, strict=True))
    return QueuedTask(runs, model)


def queue_of(tmp_path: Path, *tasks: QueuedTask, began: str = LONG_AGO) -> TaskQueue:
    return TaskQueue(tasks, Settings(str(tmp_path), began))


def completed(folder: Path, name: str) -> RunRecord:
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecord("0" * 12, name, "completed", 1, {}, name=name, finished_at=LATER)
    write_record(record, folder)
    return record


def test_a_worker_gets_a_task_for_the_model_that_it_has(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, task("a", model="x"), task("b", model="y"), task("c", model="x"))
    order = [queue.next("y"), queue.next("y"), queue.next("x"), queue.next(None)]
    assert [one.runs[0].name if one else None for one in order] == ["b", "a", "c", None]


def test_runs_after_a_complete_one_start_from_its_answers(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, task("a", "b"))
    first = queue.next(None)
    assert first is not None
    completed(tmp_path / "a", "a")
    left, outcome = queue.ended(first, Ended("a", "completed", str(tmp_path / "a")))
    assert outcome is not None
    assert outcome.record.name == "a"
    assert [run.name for run in left.runs] == ["b"]
    assert left.answers == str(tmp_path / "a")


def test_a_run_that_ran_out_of_memory_waits_with_half_the_batch(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, task("a"), task("b"))
    first = queue.next(None)
    assert first is not None
    left, outcome = queue.ended(first, Ended("a", "out of memory", str(tmp_path)))
    assert (left.runs, outcome) == ((), None)
    again = queue.next(None)
    assert again is not None
    assert (again.runs[0].name, again.smaller) == ("a", 2)


@pytest.mark.parametrize(("rows", "smaller"), [(8, 2), (1, 1)])
def test_a_killed_run_is_tried_once_more(rows: int, smaller: int, tmp_path: Path) -> None:
    training = {"training": {"trainer_args": {"per_device_train_batch_size": rows}}}
    queue = queue_of(tmp_path, task("a", "b", **training))
    first = queue.next(None)
    assert first is not None
    assert list(queue.crashed(first, "killed", killed=True)) == []
    again = queue.next(None)
    assert again is not None
    assert again.smaller == smaller
    outcomes = list(queue.crashed(again, "killed again", killed=True))
    assert [(one.name, one.record.status) for one in outcomes] == [("a", "failed"), ("b", "failed")]
    assert outcomes[0].record.error == "killed again"
    assert "the run 'a', whose answers it would use, failed" in (outcomes[1].record.error or "")
    assert queue.next(None) is None


def test_a_run_that_ends_its_process_otherwise_failed(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, task("a"))
    first = queue.next(None)
    assert first is not None
    (outcome,) = queue.crashed(first, "exit code 1", killed=False)
    assert outcome.record.status == "failed"


def busy(tmp_path: Path, *names: str, began: str = LONG_AGO) -> TaskQueue:
    queue = queue_of(tmp_path, task(*names), began=began)
    first = queue.next(None)
    assert first is not None
    left, outcome = queue.ended(first, Ended(names[0], "busy", str(tmp_path / "a")))
    assert (left.runs, outcome) == ((), None)
    assert len(queue) == 1
    return queue


def test_a_run_that_somebody_else_does_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft.experiments.queue._SECONDS_BETWEEN_LOOKS", 0.0)
    (tmp_path / "a").mkdir()
    claim = take(tmp_path / "a")
    assert claim is not None
    queue = busy(tmp_path, "a", "b")
    assert list(queue.look_at_busy()) == []
    assert queue.next(None) is None
    completed(tmp_path / "a", "a")
    claim.release(complete=True)
    (outcome,) = queue.look_at_busy()
    assert outcome.name == "a"
    rest = queue.next(None)
    assert rest is not None
    assert [run.name for run in rest.runs] == ["b"]
    assert rest.answers == str(tmp_path / "a")


def test_a_run_that_somebody_else_left_is_done_here(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    queue = busy(tmp_path, "a")
    assert list(queue.look_at_busy()) == []
    again = queue.next(None)
    assert again is not None
    assert again.runs[0].name == "a"


@pytest.mark.parametrize(("began", "outcomes"), [(LONG_AGO, 1), (LATER, 0)])
def test_a_failure_counts_where_it_is_of_now(began: str, outcomes: int, tmp_path: Path) -> None:
    config = make_config()
    _, folder = write_failure(config, tmp_path, "a", "no luck", "0123456789ab")
    folder.rename(tmp_path / "a")
    queue = busy(tmp_path, "a", began=began)
    assert len(list(queue.look_at_busy())) == outcomes
    assert (queue.next(None) is None) == (outcomes == 1)

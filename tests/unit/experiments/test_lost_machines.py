"""What becomes of runs whose machine is lost: claims of the dead, another try, and what fits on a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sft.config.load import NamedConfig
from sft.experiments.claims import is_claimed, release_claims_of, take
from sft.experiments.cluster import Machine, Needs, needs_of, room
from sft.experiments.plan import plan
from sft.experiments.protocol import Settings
from sft.experiments.queue import QueuedTask, TaskQueue
from tests.fakes import make_config


def test_only_the_claims_of_a_dead_owner_are_released(tmp_path: Path) -> None:
    held = []
    for name, owner in (("a", "dead"), ("b", "alive"), ("c", None)):
        (tmp_path / name).mkdir()
        held.append(take(tmp_path / name, owner))
        path = tmp_path / name / "claim-1.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "of another machine"}))
    release_claims_of(tmp_path, "dead")
    assert [is_claimed(tmp_path / name) for name in "abc"] == [False, True, True]
    for claim in held:
        assert claim is not None
        claim.release(complete=True)


def test_a_run_is_tried_on_three_more_machines_and_then_fails(tmp_path: Path) -> None:
    runs = plan([NamedConfig("a", make_config())])
    queue = TaskQueue([QueuedTask(tuple(runs), "model")], Settings(str(tmp_path), ""))
    for _ in range(3):
        task = queue.next(None)
        assert task is not None
        assert task.smaller == 1
        assert list(queue.lost(task, "the machine burned")) == []
    task = queue.next(None)
    assert task is not None
    (outcome,) = queue.lost(task, "the machine burned")
    assert outcome.record.error == "the machine burned (tried 4 times)"
    assert len(queue) == 0


def test_a_machine_lost_after_the_last_run_loses_nothing(tmp_path: Path) -> None:
    queue = TaskQueue([], Settings(str(tmp_path), ""))
    assert list(queue.lost(QueuedTask((), "model"), "the machine burned")) == []
    assert len(queue) == 0


CPUS = [Machine(4, 0, 16 * 10**9)] * 2
GPUS = [*CPUS, Machine(16, 8, 256 * 10**9)]


@pytest.mark.parametrize(
    ("resources", "model", "there", "needs", "workers"),
    [
        ({}, {}, CPUS, Needs(1, 0, 0), 8),
        ({}, {}, GPUS, Needs(1, 1, 0), 8),
        ({"gpus": 0}, {}, GPUS, Needs(1, 0, 0), 24),
        ({}, {"model_args": {"device_map": "auto"}}, GPUS, Needs(1, 8, 0), 1),
        ({"gpus": 3, "cpus": 4}, {}, GPUS, Needs(4, 3, 0), 2),
        ({"memory_gb": 10, "gpus": 0}, {}, GPUS, Needs(1, 0, 10**10), 18),
        ({"gpus": 1}, {}, CPUS, Needs(1, 1, 0), 0),
        ({"cpus": 5}, {}, CPUS, Needs(5, 0, 0), 0),
    ],
)
def test_as_many_workers_as_fit(
    resources: dict[str, float], model: dict[str, object], there: list[Machine], needs: Needs, workers: int
) -> None:
    config = make_config(resources=resources, model=model)
    assert needs_of([config], there) == needs
    assert room(needs, there) == workers


def test_a_worker_has_what_the_most_demanding_of_its_runs_needs() -> None:
    configs = [make_config(resources={"cpus": 2, "gpus": 0}), make_config(resources={"memory_gb": 3, "gpus": 2})]
    assert needs_of(configs, CPUS) == Needs(2, 2, 3 * 10**9)

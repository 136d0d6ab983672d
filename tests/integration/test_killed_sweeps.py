"""Whatever is killed at whatever moment: the same command goes on, and ends with the table of an undisturbed sweep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sft.records import find_records, read_record
from tests.fakes import write_config
from tests.tiny_runs import tiny_run

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}


def fake_sweeps(folder: Path, *mode: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.killed_sweep", str(folder / "sweep"), *mode]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_killed_at_fifty_random_moments(tmp_path: Path) -> None:
    """Each kill costs at most the piece of work that it interrupts."""
    found = fake_sweeps(tmp_path, "random", "50", "0.4")
    assert found["kills"] == 50
    assert found["wrong"] == []
    assert 0 <= len(found["work"]) - found["pieces_undisturbed"] <= 50


def test_killed_before_and_after_every_rename_and_link(tmp_path: Path) -> None:
    """Among them: that of every record, of claims that are taken over, of the aggregated files."""
    found = fake_sweeps(tmp_path, "everywhere")
    assert found["kills"] > 30
    assert found["wrong"] == []


def test_two_schedulers_never_do_the_same_work(tmp_path: Path) -> None:
    found = fake_sweeps(tmp_path, "two")
    assert found["wrong"] == []
    assert len(found["work"]) == found["pieces_undisturbed"]
    assert len({pid for pid, _ in found["work"]}) == 2


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real trainings that write a checkpoint after every step, and a zero-shot run."""
    folder = tmp_path_factory.mktemp("sweep")
    saving = {"save_strategy": "steps", "save_steps": 1, "max_steps": 12}
    configs = {
        f"seed {seed}": tiny_run(folder, seed=seed, trainer_args=saving, lora={"r": 4, "lora_dropout": 0.1})
        for seed in (1, 2, 3)
    }
    configs["zero-shot"] = tiny_run(folder, dataset={"shots": 0})
    values = {name: config.model_dump(mode="json") for name, config in configs.items()}
    return write_config(folder / "sweep.json", {"configs": values})


def start(sweep_file: Path, results: Path) -> subprocess.Popen[bytes]:
    """In a process group of its own, which its workers aren't in: they notice that their scheduler is gone."""
    command = [sys.executable, "-m", "sft.cli", "run-experiments", str(sweep_file), "--results-path", str(results)]
    with (results.parent / "out.log").open("ab") as output:
        return subprocess.Popen(command, env=ENVIRONMENT, stdout=output, stderr=output, start_new_session=True)


def finish(sweep_file: Path, results: Path) -> dict[str, Any]:
    assert start(sweep_file, results).wait(timeout=300) == 0
    return table(results)


def table(results: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((results / "aggregated_results.json").read_text())
    for row in value["runs"]:
        row.pop("seconds")
    return value


@pytest.fixture(scope="module")
def results_undisturbed(sweep_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed") / "results"
    finish(sweep_file, results)
    return results


@pytest.fixture(scope="module")
def undisturbed(results_undisturbed: Path) -> dict[str, Any]:
    return table(results_undisturbed)


def checkpoints(results: Path) -> list[Path]:
    return [path.parent for path in results.glob("*/unfinished/training/checkpoint-*/trainer_state.json")]


def wait_for_a_checkpoint(results: Path, process: subprocess.Popen[bytes], step: int) -> None:
    until = time.monotonic() + 120
    while not any(int(path.name.split("-")[1]) >= step for path in checkpoints(results)):
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("step", [2, 6, 9])
def test_a_scheduler_killed_in_a_real_training(
    step: int, sweep_file: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    process = start(sweep_file, results)
    wait_for_a_checkpoint(results, process, step)
    process.kill()
    process.wait()
    assert finish(sweep_file, results) == undisturbed


def test_a_sweep_that_is_asked_to_stop_saves_and_goes_on(
    sweep_file: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    process = start(sweep_file, results)
    wait_for_a_checkpoint(results, process, 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    said = (tmp_path / "out.log").read_text()
    assert "the same command goes on from there" in said
    done = [folder for folder, _ in find_records(results)]
    assert len(json.loads((results / "aggregated_results.json").read_text())["runs"]) == len(done) < 4
    assert finish(sweep_file, results) == undisturbed
    logs = "".join(path.read_text() for path in results.glob("*/run.log"))
    assert "goes on from checkpoint-" in logs
    assert all(read_record(folder).finished_at for folder in done)


def test_a_second_invocation_runs_nothing(sweep_file: Path, results_undisturbed: Path) -> None:
    def written() -> dict[Path, int]:
        return {folder: (folder / "record.json").stat().st_mtime_ns for folder, _ in find_records(results_undisturbed)}

    first, before = table(results_undisturbed), written()
    assert finish(sweep_file, results_undisturbed) == first
    assert written() == before

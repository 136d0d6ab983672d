"""Runs in TensorBoard, read back from its files: training, config and metrics of a run are in one place."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from accelerate import tracking

from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.experiments.execute import Executor
from sft.experiments.protocol import Ended, Settings
from sft.experiments.queue import QueuedTask
from sft.experiments.schedule import schedule
from sft.pipeline.endpoints import evaluate, run_experiment, train
from sft.pipeline.recording import now
from sft.records import RunRecord, read_record
from tests.tiny_runs import tiny_run

pytest.importorskip("tensorboard", reason="tensorboard is not installed")

ARGS = {"report_to": "tensorboard", "logging_steps": 1}
# Tensorboard 2.21 asks numpy for a name that it is to lose.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*")


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag → steps and values, of all event files directly in a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        events = EventAccumulator(str(folder)).Reload()
        return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def hyperparameters(folder: Path) -> str:
    (file,) = folder.glob("*/hparams.yml")
    return file.read_text(encoding="utf-8")


def check(folder: Path, record: RunRecord) -> dict[str, list[tuple[int, float]]]:
    """The metrics and the config of the record are there; returns the scalars."""
    found = scalars(folder)
    steps = record.training["steps"] if record.training else 0
    ((step, value),) = found["test/accuracy"]
    assert (step, value) == (steps, pytest.approx(record.results["accuracy"]))
    assert found["baselines/majority/accuracy"][0][1] == pytest.approx(record.baselines["majority"]["accuracy"])
    assert f"run_id: {record.run_id}\n" in hyperparameters(folder)
    assert f"model.name: {record.config['model']['name']}\n" in hyperparameters(folder)
    return found


def losses(record: RunRecord) -> list[float]:
    assert record.training is not None
    return [entry["loss"] for entry in record.training["log"] if "loss" in entry]


def test_training_and_metrics_of_a_run_are_one_run_of_tensorboard(tmp_path: Path) -> None:
    run = run_experiment(tiny_run(tmp_path, trainer_args=ARGS), tmp_path / "results")
    found = check(run.folder / "tensorboard", run.record)
    assert [step for step, _ in found["train/loss"]] == [1, 2, 3, 4]
    assert [value for _, value in found["train/loss"]] == pytest.approx(losses(run.record))


def test_runs_without_training_and_trainings_without_a_run_are_told_too(tmp_path: Path) -> None:
    output = tmp_path / "adapter"
    config = tiny_run(tmp_path, trainer_args={**ARGS, "output_dir": str(output)})
    trained = train(config)
    assert len(scalars(output / "tensorboard")["train/loss"]) == trained.summary.steps
    assert f"run_id: {trained.run_id}\n" in hyperparameters(output / "tensorboard")
    run = evaluate(config, tmp_path / "results", checkpoint=str(output))
    assert "train/loss" not in check(run.folder / "tensorboard", run.record)


class Silent:
    def begins(self, run: str) -> None: ...

    def stage(self, run: str, stage: str) -> None: ...


def _swept(configs: Mapping[str, ExperimentConfig], results: Path, *, tasks: int) -> list[Ended]:
    """How all runs of a sweep ended. tasks: so many, if runs use one another's answers."""
    executor = Executor(Settings(str(results), began=now()), Silent())
    planned = schedule([NamedConfig(*item) for item in configs.items()], results).tasks
    assert len(planned) == tasks, "no run uses another's answers"
    return [ended for task in planned for ended in executor.run(QueuedTask(tuple(task.runs), "").value())]


def test_every_run_of_a_sweep_has_a_place_of_its_own(tmp_path: Path) -> None:
    """Also those that use another run's answers, and none where nothing is asked for."""
    calibrated = {"calibration": {"method": "contextual"}}
    configs = {
        "zero": tiny_run(tmp_path, trainer_args=ARGS, dataset={"shots": 0}),
        "calibrated": tiny_run(tmp_path, trainer_args=ARGS, dataset={"shots": 0}, inference=calibrated),
        "trained": tiny_run(tmp_path, trainer_args=ARGS),
        "quiet": tiny_run(tmp_path, trainer_args={"max_steps": 3}),
    }
    told: dict[str, Any] = {}
    for ended in _swept(configs, tmp_path / "results", tasks=3):
        assert ended.status == "completed", ended.error
        folder = Path(ended.folder)
        if (folder / "tensorboard").exists():
            told[ended.name] = check(folder / "tensorboard", read_record(folder))
    assert set(told) == {"zero", "calibrated", "trained"}
    assert [name for name, found in told.items() if "train/loss" in found] == ["trained"]


def test_a_tracker_that_can_not_start_costs_a_run_that_is_complete_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One whose answers are those of another run, which no tracker is told of."""
    monkeypatch.setattr(tracking.TensorBoardTracker, "start", lambda self: 1 / 0)
    sections: dict[str, Any] = {"dataset": {"shots": 0}}
    calibrated = {**sections, "inference": {"calibration": {"method": "contextual"}}, "trainer_args": ARGS}
    configs = {"zero": tiny_run(tmp_path, **sections), "calibrated": tiny_run(tmp_path, **calibrated)}
    ended = _swept(configs, tmp_path / "results", tasks=1)
    assert [each.status for each in ended] == ["completed", "completed"]
    assert "calibrated: training.trainer_args.report_to: 'tensorboard' can't be started" in caplog.text

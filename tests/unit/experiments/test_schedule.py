"""What of a sweep is done already: told from records, without running anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sft.config.files import input_stamps
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.experiments.schedule import Schedule, schedule
from sft.pipeline.canonical import plan_id
from sft.records import RunRecord, write_record
from tests.fakes import make_config, write_dataset


def config_of(folder: Path, **sections: Any) -> ExperimentConfig:
    if not (folder / "data").exists():
        write_dataset(folder / "data")
        (folder / "model").mkdir()
        (folder / "model/config.json").write_text("{}")
    dataset = {"path": str(folder / "data"), **sections.pop("dataset", {})}
    return make_config(dataset=dataset, model={"name": str(folder / "model")}, **sections)


def leave_record(results: Path, config: ExperimentConfig, status: Any = "completed", **more: Any) -> None:
    folder = results / f"x-{plan_id(config)}-{status}"
    folder.mkdir(parents=True)
    values = {"plan_id": plan_id(config), "inputs": input_stamps(config), "timings": {"total": 7.0}, **more}
    write_record(RunRecord("0" * 12, "x", status, 1, config.model_dump(mode="json"), **values), folder)


def scheduled(results: Path, configs: dict[str, ExperimentConfig], **options: Any) -> Schedule:
    return schedule([NamedConfig(name, config) for name, config in configs.items()], results, **options)


def to_run(planned: Schedule) -> list[str]:
    return [run.name for task in planned.tasks for run in task.runs]


def test_what_is_complete_is_skipped_and_forced_again(tmp_path: Path) -> None:
    configs = {str(seed): config_of(tmp_path, seed=seed) for seed in (1, 2)}
    leave_record(tmp_path / "results", configs["1"])
    planned = scheduled(tmp_path / "results", configs)
    assert to_run(planned) == ["2"]
    assert planned.ended["1"].was_there
    assert to_run(scheduled(tmp_path / "results", configs, force=True)) == ["1", "2"]


def test_a_failed_run_is_run_again_where_that_is_asked(tmp_path: Path) -> None:
    configs = {"a": config_of(tmp_path)}
    leave_record(tmp_path / "results", configs["a"], "failed", error="no luck")
    assert to_run(scheduled(tmp_path / "results", configs)) == []
    assert to_run(scheduled(tmp_path / "results", configs, retry_failed=True)) == ["a"]
    leave_record(tmp_path / "results", configs["a"])
    assert to_run(scheduled(tmp_path / "results", configs, retry_failed=True)) == []


@pytest.mark.parametrize("file", ["data/train.jsonl", "data/test.jsonl", "model/config.json"])
def test_a_run_whose_files_changed_is_looked_at_again(file: str, tmp_path: Path) -> None:
    configs = {"a": config_of(tmp_path)}
    leave_record(tmp_path / "results", configs["a"])
    os.utime(tmp_path / file, (1, 1))
    assert to_run(scheduled(tmp_path / "results", configs)) == ["a"]


def test_a_record_that_cannot_be_read_counts_as_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    configs = {"a": config_of(tmp_path)}
    leave_record(tmp_path / "results", configs["a"])
    (record,) = (tmp_path / "results").glob("*/record.json")
    record.write_text("{")
    assert to_run(scheduled(tmp_path / "results", configs)) == ["a"]
    assert str(record) in caplog.text


def test_only_runs_whose_names_fit(tmp_path: Path) -> None:
    configs = {f"shots={shots}": config_of(tmp_path, dataset={"shots": shots}) for shots in (1, 2, 16)}
    planned = scheduled(tmp_path / "results", configs, only=["shots=1*"])
    assert to_run(planned) == ["shots=1", "shots=16"]
    with pytest.raises(SftError, match=r"--only 'shot=\*' fits no run"):
        scheduled(tmp_path / "results", configs, only=["shot=*"])


def test_runs_start_from_the_answers_of_a_complete_one_and_cost_what_runs_like_them_did(tmp_path: Path) -> None:
    batch = {"inference": {"calibration": {"method": "batch"}}}
    configs = {
        "a": config_of(tmp_path),
        "a batch": config_of(tmp_path, **batch),
        "b": config_of(tmp_path, seed=2),
        "b batch": config_of(tmp_path, seed=2, **batch),
        "more shots": config_of(tmp_path, dataset={"shots": 3}),
    }
    leave_record(tmp_path / "results", configs["a"])
    planned = scheduled(tmp_path / "results", configs)
    assert [[run.name for run in task.runs] for task in planned.tasks] == [
        ["a batch"],
        ["b", "b batch"],
        ["more shots"],
    ]
    assert planned.tasks[0].answers is not None
    assert planned.tasks[1].answers is None
    assert planned.seconds == {"a batch": 0.0, "b": 7.0, "b batch": 0.0, "more shots": None}

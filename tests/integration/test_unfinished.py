"""A run that was stopped goes on from what its folder holds, and ends as an undisturbed one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sft.config.schema import ExperimentConfig
from sft.inference import label_scorer
from sft.inference.shards import ShardFolder
from sft.pipeline import run as pipeline_run
from sft.pipeline.endpoints import evaluate, run_experiment
from sft.pipeline.run import Run
from sft.records import read_items
from tests.tiny_runs import tiny_run


class Stopped(Exception):
    """Instead of a signal."""


def stop_after_shards(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    put, done = ShardFolder.put, [0]

    def stopping(self: ShardFolder, key: str, values: Any) -> None:
        put(self, key, values)
        done[0] += 1
        if done[0] == count:
            raise Stopped

    monkeypatch.setattr(ShardFolder, "put", stopping)


def same(left: Run, right: Run) -> bool:
    return left.record.results == right.record.results and read_items(left.folder) == read_items(right.folder)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_scorer, "_TOKENS_IN_SHARD", 40)


def interrupted(config: ExperimentConfig, results: Path, shards: int = 2) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        stop_after_shards(patch, shards)
        with pytest.raises(Stopped):
            run_experiment(config, results)
    (folder,) = results.iterdir()
    return folder / "unfinished"


def test_neither_training_nor_finished_shards_are_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_run(tmp_path)
    undisturbed = run_experiment(config, tmp_path / "undisturbed")
    unfinished = interrupted(config, tmp_path / "results")
    kept = {path.name: path.stat().st_mtime_ns for path in (unfinished / "answers").iterdir()}
    assert len(kept) == 2
    monkeypatch.setattr(pipeline_run, "train_on_pool", None)  # to be called is an error
    again = run_experiment(config, tmp_path / "results")
    assert same(again, undisturbed)
    assert again.record.training == undisturbed.record.training | {
        name: again.record.training[name] for name in ("seconds", "log")
    }
    assert again.record.timings["training"] > 0
    assert sorted(path.name for path in again.folder.iterdir()) == [
        "items.jsonl", "record.json", "run.log", "support.jsonl",
    ]  # fmt: skip


def test_an_evaluation_goes_on_too(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, dataset={"shots": 0})
    undisturbed = evaluate(config, tmp_path / "undisturbed")
    interrupted(config, tmp_path / "results")
    assert same(evaluate(config, tmp_path / "results"), undisturbed)


@pytest.mark.parametrize("method", ["full", "prefix_tuning"])
def test_what_other_methods_trained_is_found_again(method: str, tmp_path: Path) -> None:
    args = {"num_virtual_tokens": 3} if method == "prefix_tuning" else {}
    config = tiny_run(tmp_path, lora=None, adapter={"method": method, "args": args})
    undisturbed = run_experiment(config, tmp_path / "undisturbed")
    interrupted(config, tmp_path / "results")
    assert same(run_experiment(config, tmp_path / "results"), undisturbed)


@pytest.mark.parametrize("changed", ["environment", "inputs"])
def test_what_was_made_otherwise_is_thrown_away(changed: str, tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    undisturbed = run_experiment(config, tmp_path / "undisturbed")
    unfinished = interrupted(config, tmp_path / "results")
    made_with = json.loads((unfinished / "made_with.json").read_text())
    (unfinished / "made_with.json").write_text(json.dumps({**made_with, changed: {}}))
    (unfinished / "trained.json").write_text("what nobody may read")
    assert same(run_experiment(config, tmp_path / "results"), undisturbed)


def test_folds_that_are_done_are_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrated = {"inference": {"calibration": {"method": "temperature"}, "folds": 2}}
    config = tiny_run(tmp_path, dataset={"shots": 3}, **calibrated)
    undisturbed = run_experiment(config, tmp_path / "undisturbed")
    unfinished = interrupted(config, tmp_path / "results", shards=1)
    assert len(list((unfinished / "folds").iterdir())) == 2
    monkeypatch.setattr("sft.pipeline.folds.train_on_pool", None)
    assert same(run_experiment(config, tmp_path / "results"), undisturbed)

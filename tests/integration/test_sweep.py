"""A sweep: a failed or killed run is recorded, the rest goes on and is aggregated."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from sft import plugins
from sft.api import Sweep, run_experiments
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.experiments.launch import LaunchOptions, launcher_registry
from sft.experiments.live import Live
from sft.experiments.outcome import RunOutcome
from sft.experiments.plan import plan
from sft.experiments.queue import QueuedTask
from sft.pipeline.endpoints import evaluate
from sft.records import find_records, read_items, read_record
from tests.tiny_runs import tiny_run


class Finished(NamedTuple):
    sweep: Sweep
    results: Path
    seen: Seen


def zero_shot(folder: Path, seed: int = 13, **sections: object) -> ExperimentConfig:
    """With an in-context example, so that runs with other seeds are other runs."""
    config = tiny_run(folder, dataset={"shots": 0}, lora=None, seed=seed, inference={"icl_examples": 1}, **sections)
    return config.model_copy(update={"training": None})


def with_too_short_answers(config: ExperimentConfig) -> ExperimentConfig:
    """The same config with a label that is longer than the longest answer allowed: it fails once the model is there."""
    prompting = config.prompting.model_copy(update={"max_output_length": 1})
    return config.model_copy(update={"prompting": prompting})


def with_model(config: ExperimentConfig, name: str) -> ExperimentConfig:
    return config.model_copy(update={"model": config.model.model_copy(update={"name": name})})


DEADLY = """
import os, signal
from sft.evaluation.metrics.base import metric

@metric("deadly", task_type="classification")
def deadly(outcome):
    print("working hard", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Seen(Live):
    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[str, int, int]] = []
        self.stages: list[tuple[str, str]] = []

    def working(self, worker: int, run: str, stage: str) -> None:
        self.stages.append((run, stage))

    def ended(self, outcome: RunOutcome) -> None:
        super().ended(outcome)
        self.ends.append((outcome.name, self.done, self.total))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("sweep")
    good = zero_shot(folder)
    configs = [
        NamedConfig("good", good),
        NamedConfig("no model", with_model(good, f"{folder}/nothing-here")),
        NamedConfig("killed", zero_shot(folder, seed=15, evaluation={"metrics": ["deadly"]})),
        NamedConfig("label too long", with_too_short_answers(good)),
        NamedConfig("good again", good),
        NamedConfig("another/seed", zero_shot(folder, seed=14)),
    ]
    seen = Seen()
    (folder / "deadly_metric.py").write_text(DEADLY, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(plugins, "_imported", ["deadly_metric"])  # by the workers only
        sweep = run_experiments(configs, folder / "results", live=seen)
    return Finished(sweep, folder / "results", seen)


def test_every_different_run_ends_and_is_reported_as_it_ends(finished: Finished) -> None:
    names = ["good", "no model", "killed", "label too long", "another/seed"]
    assert sorted(name for name, _, _ in finished.seen.ends) == sorted(names)
    assert [(done, total) for _, done, total in finished.seen.ends] == [(i, 5) for i in range(1, 6)]
    assert [outcome.name for outcome in finished.sweep.outcomes] == names
    assert ("good", "inference") in finished.seen.stages
    status = {outcome.name: outcome.record.status for outcome in finished.sweep.outcomes}
    assert [name for name in names if status[name] == "completed"] == ["good", "another/seed"]
    assert not finished.sweep.interrupted


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no model", "model.name: no file or folder"),
        ("killed", "by signal SIGKILL (the machine may be out of memory)"),
        ("killed", "working hard"),
        ("label too long", "labels are never cut"),
    ],
)
def test_a_failed_run_has_a_record_that_says_why(finished: Finished, name: str, message: str) -> None:
    (outcome,) = (outcome for outcome in finished.sweep.outcomes if outcome.name == name)
    record = read_record(outcome.folder)
    assert record.status == "failed"
    assert message in (record.error or "")
    assert record.results == {}
    assert record.name == name


def test_a_failed_run_keeps_the_identity_that_it_had_when_it_began(finished: Finished) -> None:
    """Its record is in the folder that holds its log."""
    (outcome,) = (outcome for outcome in finished.sweep.outcomes if outcome.name == "label too long")
    assert (outcome.folder / "run.log").exists()


def test_records_lie_under_the_results_path_one_per_run(finished: Finished) -> None:
    records = dict(find_records(finished.results))
    assert len(records) == 5
    assert set(records) == {outcome.folder for outcome in finished.sweep.outcomes}


def test_what_a_run_printed_is_in_a_log_with_its_name(finished: Finished) -> None:
    logs = {path.name: path.read_text(encoding="utf-8") for path in (finished.results / "logs").iterdir()}
    names = {"good.log", "no_model.log", "killed.log", "label_too_long.log", "another_seed.log", "worker-0.log"}
    assert set(logs) == names
    assert logs["killed.log"].endswith("working hard\n")
    assert "Traceback" in logs["label_too_long.log"]


def test_the_aggregated_files_have_a_row_per_run_and_one_per_configuration(finished: Finished) -> None:
    table = json.loads((finished.results / "aggregated_results.json").read_text(encoding="utf-8"))
    assert len(table["runs"]) == 5
    good = [row for row in table["configurations"] if row["seeds"] == [13, 14]]
    assert len(good) == 1
    expected = [o.record.results["accuracy"] for o in finished.sweep.outcomes if o.record.status == "completed"]
    assert good[0]["metrics"]["accuracy"]["mean"] == pytest.approx(sum(expected) / 2)
    assert good[0]["metrics"]["accuracy"]["n"] == 2
    assert sum(row["failed"] for row in table["configurations"]) == 3
    text = (finished.results / "aggregated_results.md").read_text(encoding="utf-8")
    assert "SIGKILL" in text
    assert "±" in text


def test_a_run_in_its_own_process_gives_what_it_gives_in_this_one(finished: Finished, tmp_path: Path) -> None:
    (outcome,) = (outcome for outcome in finished.sweep.outcomes if outcome.name == "good")
    here = evaluate(ExperimentConfig.model_validate(outcome.record.config), tmp_path)
    assert read_items(here.folder) == read_items(outcome.folder)
    assert here.record.run_id == outcome.record.run_id


def test_after_an_interrupt_what_is_done_is_aggregated(tmp_path: Path) -> None:
    def interrupted(tasks: Sequence[QueuedTask], options: LaunchOptions) -> Generator[RunOutcome]:
        (run,) = tasks[0].runs
        done = evaluate(run.config, options.results_path)
        yield RunOutcome(run.name, done.record, done.folder)
        raise KeyboardInterrupt

    configs = [NamedConfig(str(seed), zero_shot(tmp_path, seed=seed)) for seed in (1, 2)]
    launcher_registry["interrupted"] = interrupted
    try:
        sweep = run_experiments(configs, tmp_path / "results", launcher="interrupted")
    finally:
        del launcher_registry["interrupted"]
    assert sweep.interrupted
    assert len(json.loads((tmp_path / "results" / "aggregated_results.json").read_text(encoding="utf-8"))["runs"]) == 1


def test_identical_configs_run_once_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tiny_run(tmp_path)
    elsewhere = tiny_run(tmp_path, trainer_args={"output_dir": str(tmp_path / "out"), "logging_steps": 7})
    other = config.model_copy(update={"seed": 14})
    runs = plan([NamedConfig("a", config), NamedConfig("b", elsewhere), NamedConfig("c", other)])
    assert [run.name for run in runs] == ["a", "c"]
    assert "which runs once: b (a)" in caplog.text


@pytest.mark.parametrize("second", ["{folder}/out", "{folder}/out/", "{folder}/x/../out"])
def test_two_runs_that_write_their_adapters_to_one_folder_are_refused_before_any_runs(
    second: str, tmp_path: Path
) -> None:
    configs = [
        NamedConfig("a", tiny_run(tmp_path, seed=1, trainer_args={"output_dir": f"{tmp_path}/out"})),
        NamedConfig("b", tiny_run(tmp_path, seed=2, trainer_args={"output_dir": second.format(folder=tmp_path)})),
    ]
    with pytest.raises(SftError, match="the configs a and b both write"):
        run_experiments(configs, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_runs_that_train_nothing_may_name_one_folder(tmp_path: Path) -> None:
    arguments = {
        "dataset": {"shots": 0},
        "inference": {"icl_examples": 1},
        "trainer_args": {"output_dir": f"{tmp_path}/out"},
    }
    configs = [NamedConfig(str(seed), tiny_run(tmp_path, seed=seed, **arguments)) for seed in (1, 2)]
    assert len(plan(configs)) == 2


def test_a_results_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(SftError, match="--results-path"):
        run_experiments([NamedConfig("a", tiny_run(tmp_path))], tmp_path / "results")

"""Which trackers a config means, what they are told, and what happens when one fails."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
from accelerate import tracking
from accelerate.tracking import GeneralTracker

from sft.config.schema import ExperimentConfig
from sft.errors import MissingPackageError, SftError
from sft.records import RunRecord
from sft.tracking import Trackers, trackers_asked
from sft.tracking.openers import TrackedRun, opened, opener_registry
from sft.tracking.values import numbers, settings
from sft.training.arguments import trainer_config
from tests.fakes import make_config


class Notebook(GeneralTracker):  # type: ignore[misc]  # of no type here
    """A tracker that remembers. failing: the method that doesn't work."""

    name = "notebook"
    requires_logging_directory = True
    made: ClassVar[list[Notebook]] = []
    failing = ""

    def __init__(self, project: str, folder: str) -> None:
        super().__init__()
        self.project, self.folder = project, folder
        self.told: list[tuple[str, Any]] = []
        self.made.append(self)

    @property
    def tracker(self) -> None:
        return None

    def start(self) -> None:
        self._tell("start", None)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._tell("config", values)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._tell("log", (step, values))

    def finish(self) -> None:
        self._tell("finish", None)

    def _tell(self, what: str, value: Any) -> None:
        if what == self.failing:
            raise ConnectionError("no network")
        self.told.append((what, value))


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> type[Notebook]:
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "notebook", Notebook)
    monkeypatch.setattr(Notebook, "made", [])
    return Notebook


def reporting(value: Any, **trainer_args: Any) -> ExperimentConfig:
    return make_config(training={"trainer_args": {"report_to": value, **trainer_args}})


RECORD = RunRecord(
    "0123456789ab",
    "slug",
    "completed",
    13,
    {},
    results={"accuracy": 0.5, "per_class": {"a": {}}, "undefined": math.nan},
    baselines={"majority": {"accuracy": 0.25}},
    training={"steps": 7},
    timings={"total": 2.0},
)


@pytest.mark.parametrize("value", [None, "none", [], ["none"]])
def test_nobody_is_told_by_default(value: Any, tmp_path: Path) -> None:
    assert trackers_asked(reporting(value)) == ([], [])
    assert trackers_asked(make_config(training=None, lora=None)) == ([], [])
    with Trackers(reporting(value), "id", tmp_path) as trackers:
        assert trackers.callbacks() == []


def test_names_of_transformers_alone_are_left_to_its_trainer(notebook: type[Notebook], tmp_path: Path) -> None:
    config = reporting(["notebook", "codecarbon", "notebook"])
    assert trackers_asked(config) == (["notebook"], ["codecarbon"])
    assert trainer_config(config, tmp_path, keep_checkpoints=False).report_to == ["codecarbon"]
    assert trainer_config(reporting("notebook"), tmp_path, keep_checkpoints=False).report_to == []


def test_all_means_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_available_trackers", ["tensorboard", "mlflow"])
    assert trackers_asked(reporting("all")) == (["tensorboard", "mlflow"], [])


def test_a_tracker_that_is_not_installed_is_told_of_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracking, "_available_trackers", [])
    with pytest.raises(MissingPackageError, match="report_to 'comet_ml' needs the package") as caught:
        trackers_asked(reporting("comet_ml"))
    assert caught.value.hint == "pip install comet-ml"


def test_a_run_is_told_from_its_config_to_its_metrics(notebook: type[Notebook], tmp_path: Path) -> None:
    config = reporting("notebook", project="sentiment")
    with Trackers(config, RECORD.run_id, tmp_path / "run") as trackers:
        trackers.log({"loss": 0.25, "note": "a text"}, 3)
        trackers.conclude(RECORD)
    (one,) = notebook.made
    assert (one.project, one.folder) == ("sentiment", str(tmp_path / "run"))
    assert [what for what, _ in one.told] == ["start", "config", "log", "log", "finish"]
    assert one.told[1][1] == settings(RECORD.run_id, config.model_dump(mode="json"))
    assert one.told[2][1] == (3, {"loss": 0.25})
    assert one.told[3][1] == (7, numbers(RECORD))


def test_settings_are_plain_values_under_dotted_names() -> None:
    found = settings("id", {"a": {"b": [1, "é"], "c": None, "d": True}, "e": 1.5})
    assert found == {"run_id": "id", "a.b": '[1, "é"]', "a.d": True, "e": 1.5}


def test_numbers_are_those_of_a_record() -> None:
    expected = {"test/accuracy": 0.5, "baselines/majority/accuracy": 0.25, "seconds/total": 2.0}
    assert numbers(RECORD) == expected


def test_a_tracker_that_can_not_start_stops_the_run(
    notebook: type[Notebook], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(notebook, "failing", "start")
    with pytest.raises(SftError, match="'notebook' can't be started: ConnectionError: no network"):
        Trackers(reporting("notebook"), "id", tmp_path).__enter__()


def test_those_that_were_started_before_it_are_finished(
    notebook: type[Notebook], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Broken(Notebook):
        failing = "start"

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "broken", Broken)
    with pytest.raises(SftError, match="'broken' can't be started"):
        Trackers(reporting(["notebook", "broken"]), "id", tmp_path).__enter__()
    assert [what for what, _ in notebook.made[0].told] == ["start", "finish"]


@pytest.mark.parametrize("failing", ["config", "log", "finish"])
def test_no_run_is_lost_for_a_tracker_that_fails_later(
    failing: str,
    notebook: type[Notebook],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(notebook, "failing", failing)
    with caplog.at_level(logging.WARNING), Trackers(reporting("notebook"), "id", tmp_path) as trackers:
        trackers.conclude(RECORD)
        trackers.conclude(RECORD)
    assert caplog.text.count("the tracker 'notebook' is told nothing more: ConnectionError") == 1


def test_every_opener_makes_the_class_that_accelerate_has() -> None:
    assert len(opener_registry) > 5
    run = TrackedRun("project", "name", Path("folder"))
    for name in opener_registry:
        made = opened(name, run)
        assert type(made) is tracking.LOGGER_TYPE_TO_CLASS[name]


def test_tensorboard_has_a_folder_for_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = TrackedRun("project", "name", Path("results/run"))
    assert (opened("tensorboard", run).logging_dir_param, opened("tensorboard", run).run_name) == (
        "results/run",
        "tensorboard",
    )
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "/logs")
    assert (opened("tensorboard", run).logging_dir_param, opened("tensorboard", run).run_name) == ("/logs", "run")

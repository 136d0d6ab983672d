"""`sft curve` from a config to its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sft import curve as curves
from sft.config.schema import ExperimentConfig
from sft.curve import CurveRun, run_curve
from sft.experiments.curve import CurveSpec
from sft.records import find_records
from tests.fakes import labelled_rows
from tests.tiny_runs import tiny_run

SPEC = CurveSpec([0, 2, 3], 2, ["zero", "icl", "lora"], icl_examples=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("curve")


@pytest.fixture(scope="module")
def config(folder: Path) -> ExperimentConfig:
    return tiny_run(folder, test=labelled_rows(4, prefix="unseen "))


@pytest.fixture(scope="module")
def done(config: ExperimentConfig, folder: Path) -> CurveRun:
    return run_curve(config, SPEC, folder / "results")


def test_the_curve_has_the_means_of_its_records(done: CurveRun, folder: Path) -> None:
    assert done.curve is not None
    records = [record for _, record in find_records(folder / "results")]
    assert len(records) == 1 + 2 + 2 * 2
    assert {record.status for record in records} == {"completed"}
    trained = [record for record in records if record.config["dataset"]["shots"] == 3]
    (lora,) = [series for series in done.curve.series if series.title == "lora"]
    point = lora.points[1]
    assert point.mean == pytest.approx(sum(record.results["accuracy"] for record in trained) / 2)
    assert (point.labels, point.runs) == (9, 2)
    (regression,) = [series for series in done.curve.series if series.title.startswith("TF-IDF")]
    expected = sum(record.baselines["tfidf_logistic_regression"]["accuracy"] for record in trained) / 2
    assert regression.points[1].mean == pytest.approx(expected)
    assert regression.points[1].low is not None, "the baseline's predictions are resampled"
    assert done.curve.tests
    assert done.curve.answers


def test_its_files_are_there(done: CurveRun, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    names = [path.name for path in done.files]
    assert names == ["curve.json", "curve.svg", "curve.png", "curve.md"]
    assert all(path.stat().st_size > 0 for path in done.files)
    assert json.loads((folder / "results" / "curve.json").read_text(encoding="utf-8"))["metric"] == "accuracy"


def test_a_second_time_nothing_is_run_and_without_matplotlib_it_is_told(
    done: CurveRun, config: ExperimentConfig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "can_plot", lambda: False)
    again = run_curve(config, SPEC, folder / "results")
    assert all(outcome.was_there for outcome in again.sweep.outcomes)
    assert done.curve is not None
    assert again.curve is not None
    assert again.curve.series == done.curve.series
    assert any("matplotlib is missing" in note for note in again.curve.notes)
    assert [path.suffix for path in again.files] == [".json", ".md"]


def test_where_every_run_fails_there_is_no_curve(config: ExperimentConfig, tmp_path: Path) -> None:
    prompting = config.prompting.model_copy(update={"max_output_length": 1})
    broken = run_curve(config.model_copy(update={"prompting": prompting}), CurveSpec([0], 1, ["zero"]), tmp_path)
    assert broken.curve is None
    assert [outcome.record.status for outcome in broken.sweep.outcomes] == ["failed"]

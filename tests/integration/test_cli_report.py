"""`sft report`, and the page at the end of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sft.cli import app
from sft.pipeline.endpoints import evaluate
from tests.tiny_runs import tiny_run
from tests.unit.reporting.scored_runs import write_scored


def sft(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def finished_sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sweep of one run, which is done, and its results path."""
    folder = tmp_path_factory.mktemp("sweep")
    config = tiny_run(folder, dataset={"shots": 0})
    evaluate(config, folder / "results")
    sweep = folder / "sweep.json"
    sweep.write_text(json.dumps([config.model_dump(mode="json", exclude_unset=True)]), encoding="utf-8")
    return sweep, folder / "results"


def test_a_results_folder_becomes_a_page(tmp_path: Path) -> None:
    write_scored(tmp_path / "results", ["x", "y"], [0.5, 0.9])
    done = sft("report", tmp_path / "results", "-o", tmp_path / "pages" / "mine.html")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'pages' / 'mine.html'}\n"
    assert (tmp_path / "pages" / "mine.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_sweep_ends_in_a_page_unless_told_not_to(finished_sweep: tuple[Path, Path]) -> None:
    sweep, results = finished_sweep
    arguments = ("run-experiments", sweep, "--results-path", results, "--quiet")
    done = sft(*arguments, "--no-report")
    assert done.exit_code == 0, done.output
    assert not (results / "report.html").exists()
    done = sft(*arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(results / "report.html")
    assert "#details" in (results / "report.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_costs_a_sweep_nothing(finished_sweep: tuple[Path, Path]) -> None:
    sweep, results = finished_sweep
    (results / "report.html").unlink(missing_ok=True)
    (results / "report.html").mkdir()
    done = sft("run-experiments", sweep, "--results-path", results, "--quiet")
    (results / "report.html").rmdir()
    assert done.exit_code == 0, done.output
    assert "WARNING: no report.html" in done.stderr
    assert "the results are complete" in done.stderr
    assert (results / "aggregated_results.md").exists()

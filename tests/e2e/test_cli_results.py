"""`sft results` as a user runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sft.calibration import calibration_registry
from sft.pipeline.endpoints import evaluate
from tests.tiny_runs import tiny_run


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "sft.cli", "results", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def messages(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What it wrote to stderr, without the list of imports."""
    return [line for line in done.stderr.splitlines() if not line.startswith("import time:")]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    evaluate(tiny_run(folder), folder / "results")
    return folder / "results"


def test_all_calibrations_of_a_results_folder_are_one_command_without_torch(results: Path) -> None:
    done = run("calibrate", results, "--method", "all", "--normalization", "bytes", "--normalization", "none")
    assert done.returncode == 0, done.stderr
    header = done.stdout.split("┡")[0]
    assert all(title in header for title in ("normalization", "calibration", "accuracy"))
    for method in ("batch", "contextual", "domain"):
        assert len(re.findall(rf"│ bytes +│ {method} ", done.stdout)) == 1
        assert len(re.findall(rf"│ – +│ {method} ", done.stdout)) == 1
    assert "Transductive calibration (batch)" in done.stdout
    needing_shots = len(calibration_registry) - 3
    assert len([text for text in messages(done) if "no scores of the shots" in text]) == 2 * needing_shots
    assert done.stdout.splitlines()[-1] == f"new records: 6, in {results}"
    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))
    assert "sft.pipeline.recalibrate" in imported
    assert not imported & {"torch", "transformers", "datasets", "pandas"}


def test_arguments_are_json(results: Path, tmp_path: Path) -> None:
    done = run(
        "calibrate", results, "--method", "batch", "--args", '{"space": "probability"}', "--results-path", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"new records: 1, in {tmp_path}"


REFUSED = [
    (["--method", "temperature"], "no scores of the shots", "fix: run the experiment with inference.score_shots=true"),
    (["--method", "bach"], "no calibration is named 'bach'", "did you mean 'batch'?"),
    (["--method", "batch", "--args", "{space}"], "--args '{space}' is no JSON", "fix: write e.g."),
    (["--method", "batch", "--args", "[]"], "--args '[]' is a list", "fix: write an object"),
]


@pytest.mark.parametrize(("arguments", "message", "fix"), REFUSED, ids=[" ".join(a) for a, _, _ in REFUSED])
def test_a_mistake_is_one_message_and_exit_code_2(arguments: list[str], message: str, fix: str, results: Path) -> None:
    done = run("calibrate", results, *arguments)
    text = "\n".join(messages(done))
    assert done.returncode == 2
    assert done.stdout == ""
    assert text.startswith("error: ")
    assert message in text
    assert fix in text
    assert "Traceback" not in text


def test_a_folder_without_records_is_told(tmp_path: Path) -> None:
    done = run("calibrate", tmp_path, "--method", "batch")
    assert done.returncode == 2
    assert messages(done)[0] == f"error: {tmp_path}: no record.json in it or directly below it"


def test_aggregate_and_compare_need_no_torch(results: Path, tmp_path: Path) -> None:
    done = run("aggregate", results, "--out", tmp_path, "--format", "md")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "aggregated_results.md")
    (folder,) = sorted(results.glob("*-*-shots2-icl0-0-seed13-*"))[:1]
    compared = run("compare", folder, folder, "--format", "json")
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)["items"] == []
    for each in (done, compared):
        imported = set(re.findall(r"\|\s+([\w.]+)$", each.stderr, re.MULTILINE))
        assert not imported & {"torch", "transformers", "datasets", "pandas", "scipy", "sklearn"}


def test_compare_refuses_what_is_no_run(results: Path) -> None:
    done = run("compare", results, results)
    assert done.returncode == 2
    assert messages(done)[0] == f"error: {results}: no record.json in it"
    assert "fix: give the folder of a run" in done.stderr

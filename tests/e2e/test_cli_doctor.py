"""`sft doctor`: what it prints, in both forms, and how it ends."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import sft
from sft.cli import app
from sft.config.schema import ExperimentConfig
from sft.doctor import check_registry
from tests.conftest import REPOSITORY
from tests.fakes import config_value, labelled_rows, write_config
from tests.tiny_runs import tiny_run

DOCUMENTATION = (REPOSITORY / "docs" / "doctor.md").read_text(encoding="utf-8")
SCHEMA = json.loads(re.findall(r"```json\n(.*?)```", DOCUMENTATION, re.DOTALL)[0])


def doctor(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def written(folder: Path, **run: Any) -> Path:
    return write_config(folder / "run.json", tiny_run(folder, **run).model_dump(mode="json"))


def test_a_sound_config_ends_well_and_says_json_of_the_documented_form(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sft.cli", "doctor", str(written(tmp_path)), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    Draft202012Validator(SCHEMA).validate(value)
    assert value["worst"] == "ok"
    assert [config["name"] for config in value["configs"]] == ["1"]


@pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 2)])
def test_warnings_fail_when_that_is_asked(strict: list[str], code: int, tmp_path: Path) -> None:
    train = [*labelled_rows(4), {"text": "UNSEEN message 0 is neutral", "label": "neutral"}]
    result = doctor(written(tmp_path, train=train), *strict)
    assert result.exit_code == code
    assert "1 warning" in result.stdout


def test_an_error_ends_with_2_and_an_override_mends_it(tmp_path: Path) -> None:
    path = written(tmp_path, lora={"r": 4, "target_modules": ["nothing"]})
    assert doctor(path).exit_code == 2
    assert doctor(path, "-o", 'lora.target_modules="all-linear"', "--random-seed", 3).exit_code == 0
    assert doctor(path, "--endpoint", "evaluate").exit_code == 0


def test_what_is_wrong_with_the_config_itself_is_json_too(tmp_path: Path) -> None:
    result = doctor(write_config(tmp_path / "run.json", config_value(dataset={"shot": 1})), "--json")
    assert result.exit_code == 2
    value = json.loads(result.stdout)
    Draft202012Validator(SCHEMA).validate(value)
    assert value["configs"][0]["findings"][0]["check"] == "config"
    assert "dataset.shot:" in value["configs"][0]["findings"][0]["message"]


def test_a_command_that_isn_t_examined_for_is_refused(tmp_path: Path) -> None:
    result = doctor(written(tmp_path), "--endpoint", "evalute")
    assert isinstance(result.exception, sft.SftError)
    assert result.exception.hint == "did you mean 'evaluate'?"


def test_python_gives_the_same_diagnosis(tmp_path: Path) -> None:
    path = written(tmp_path)
    config: ExperimentConfig = sft.load_config(path, endpoint="run-experiment")
    diagnosis: sft.Diagnosis = sft.diagnose(config)
    told = json.loads(doctor(path, "--json").stdout)["configs"][0]
    assert json.loads(json.dumps(diagnosis.as_dict())) == {key: told[key] for key in ("worst", "findings")}


@pytest.mark.skipif(torch.cuda.is_available(), reason="the example is of a machine without a GPU")
def test_the_documented_example_is_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    example = re.search(r"```sh\nsft doctor (.*?)\n```\n\n```text\n(.*?)```", DOCUMENTATION, re.DOTALL)
    assert example is not None
    result = doctor(*shlex.split(example[1]))
    assert [line.rstrip() for line in result.stdout.splitlines()] == example[2].splitlines()


def test_the_documented_check_is_one(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(from collections.*?)```", DOCUMENTATION, re.DOTALL)
    exec(code, {"__name__": "example"})
    try:
        told = json.loads(doctor(written(tmp_path), "--json").stdout)["configs"][0]["findings"]
        arabic = [{"text": "مرحبا", "label": "neutral"}]
        warned = json.loads(doctor(written(tmp_path, test=arabic), "--json").stdout)["configs"][0]["findings"]
    finally:
        del check_registry["language"]
    assert [each["level"] for found in (told, warned) for each in found if each["check"] == "language"] == [
        "ok",
        "warn",
    ]

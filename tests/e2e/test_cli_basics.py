"""What the command says of itself, and how fast it can: nothing heavy is imported for that."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import sft
from sft import cli
from sft.api import load_configs
from sft.cli.show import print_results, print_table
from sft.errors import SftError
from sft.reporting.table import report_table
from tests.conftest import REPOSITORY
from tests.fakes import config_value, write_config
from tests.unit.config.test_shipped_configs import NAMES, SHIPPED
from tests.unit.reporting.records_by_hand import finished


def run(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "sft.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


HELP = [
    ["--help"],
    ["--version"],
    ["run-experiment", "--help"],
    ["init", "--help"],
    ["config", "--help"],
    ["results", "calibrate", "--help"],
    ["model", "merge", "--help"],
]


@pytest.mark.parametrize("arguments", HELP)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    done = run(*arguments, python=("-X", "importtime"))
    assert done.returncode == 0
    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))
    assert "typer" in imported
    assert not imported & {"torch", "datasets", "transformers", "numpy", "pandas", "_jsonnet", "sft.config.schema"}
    if arguments == ["--help"]:
        # For other arguments typer imports it by itself.
        assert "pydantic" not in imported


def test_help_names_the_five_endpoints_and_the_groups_of_configs_results_and_models() -> None:
    text = run("--help").stdout
    for command in ("train", "predict", "evaluate", "run-experiment", "run-experiments", "config", "results", "model"):
        assert re.search(rf"^\W*{command}\s", text, re.MULTILINE), command


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "run-experiment", "run-experiments"])
def test_every_endpoint_takes_seed_overrides_and_quiet_and_shows_an_example(command: str) -> None:
    text = run(command, "--help").stdout
    for option in ("--random-seed", "--override", "--quiet", "Example:"):
        assert option in text


def test_the_version_is_the_package_s() -> None:
    assert run("--version").stdout == f"sft {sft.__version__}\n"


def test_the_console_script_is_the_same_program_as_the_module() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["sft"].partition(":")
    assert getattr(importlib.import_module(module), function) is cli.main
    source = Path(cli.__file__).with_name("__main__.py").read_text(encoding="utf-8")
    assert source.endswith('if __name__ == "__main__":\n    main()\n')


SCHEMA = json.loads(run("config", "schema").stdout)
VALIDATOR = Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("path", SHIPPED, ids=NAMES)
def test_the_schema_accepts_every_shipped_config(path: Path) -> None:
    for _, config in load_configs(path):
        assert VALIDATOR.is_valid(config.model_dump(mode="json"))


WRONG: list[dict[str, Any]] = [
    {"dataset": {"shots": -1}},
    {"dataset": {"shots": "8"}},
    {"dataset": {"shot": 8}},
    {"dataset": {"task_type": "regression"}},
    {"dataset": {"labels": []}},
    {"model": {"nam": "x"}},
    {"model": None},
    {"prompting": {"input_columns": []}},
    {"inference": {"batch_size": 0}},
    {"lora": [1]},
    {"sed": 1},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_the_schema_refuses_what_the_command_refuses(change: dict[str, Any], tmp_path: Path) -> None:
    value = config_value(**change)
    assert VALIDATOR.is_valid(config_value())
    assert not VALIDATOR.is_valid(value)
    with pytest.raises(SftError):
        load_configs(write_config(tmp_path / "x.json", value))


def test_every_key_of_the_schema_is_described() -> None:
    """Editors show the descriptions. Sections are described by their classes."""
    for name, definition in [("config", SCHEMA), *SCHEMA["$defs"].items()]:
        assert definition.get("description"), name


def test_show_prints_every_config_of_a_sweep_by_name(tmp_path: Path) -> None:
    path = write_config(tmp_path / "sweep.json", {"configs": {"a": config_value(), "b": config_value(seed=5)}})
    shown = json.loads(run("config", "show", str(path)).stdout)
    assert {name: value["seed"] for name, value in shown.items()} == {"a": 13, "b": 5}


def test_numbers_of_results_and_of_baselines_are_shown_whichever_metrics_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    baselines = {"majority": {"micro_f1": 0.5, "per_label": [], "predictions": [1]}, "random_guess": {"accuracy": 0.25}}
    print_results(finished(0.75, baselines=baselines))
    assert capsys.readouterr().out.splitlines() == [
        "accuracy\t0.7500",
        "macro_f1\t0.3750",
        "n\t3.0000",
        "baseline majority: micro_f1\t0.5000",
        "baseline random_guess: accuracy\t0.2500",
    ]


def test_square_brackets_in_names_are_shown_rather_than_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """The table is drawn by rich, which would take `[red]` for a colour."""
    record = finished(0.5, config={"model": {"name": "[red]m"}, "lora": {"target_modules": "[b]"}})
    other = finished(0.5, config={"model": {"name": "[red]m"}, "lora": {"target_modules": "[i]"}})
    print_table(report_table([record, other]))
    printed = capsys.readouterr().out
    for text in ("[b]", "[i]", "[red]m"):
        assert text in printed


def test_the_python_api_has_the_endpoints_and_refuses_other_names() -> None:
    for name in sft.__all__:
        assert getattr(sft, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        sft.trian  # noqa: B018

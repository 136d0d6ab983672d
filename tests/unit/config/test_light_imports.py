"""Looking at configs, records and tables must not take the seconds that torch takes to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import config_value, write_config

HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "sklearn", "pandas", "matplotlib"}


def modules_after(code: str, *arguments: str) -> set[str]:
    """Top-level modules that a fresh interpreter has imported after running `code`."""
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_loading_a_config_with_all_its_checks_imports_nothing_heavy(tmp_path: Path) -> None:
    value = config_value(
        model={"quantization": {"config_class": "BitsAndBytesConfig", "args": {"load_in_4bit": True}}},
        inference={"generation_args": {"max_new_tokens": 4}, "calibration": {"method": "batch"}},
        evaluation={"metrics": ["accuracy"]},
    )
    path = write_config(tmp_path / "x.json", value)
    loaded = modules_after("import sys, sft\nsft.load_config(sys.argv[1], endpoint='run-experiment')", str(path))
    assert not loaded & HEAVY
    assert "pydantic" in loaded


LIGHT = [
    "sft", "sft.records", "sft.experiments.plan", "sft.reporting.table", "sft.reporting.markdown", "sft.calibration",
    "sft.pipeline.recalibrate", "sft.api", "sft.experiments.curve", "sft.curve",
    "sft.distributed",
]  # fmt: skip


@pytest.mark.parametrize("module", LIGHT)
def test_records_planning_reporting_and_recalibrating_import_nothing_heavy(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert "sft" in loaded
    assert not loaded & HEAVY

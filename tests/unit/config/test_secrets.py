from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sft
from sft.config.identity import canonical
from sft.config.secrets import without_secrets
from sft.lm_eval.commands import hf_model
from sft.lm_eval.task_files import config_values
from sft.models.source import ModelSource
from sft.tracking.values import settings
from tests.fakes import make_config
from tests.unit.reporting.scored_runs import write_scored

SECRET = "hf_very_secret"
SECTIONS: dict[str, dict[str, Any]] = {
    "model": {"model_args": {"token": SECRET, "dtype": "float32"}},
    "dataset": {"args": {"storage_options": {"secret": SECRET}, "name": "sentiment"}},
    "training": {"trainer_args": {"hub_token": SECRET, "max_steps": 3}},
}


def test_tokens_are_left_out_and_nothing_else() -> None:
    config = make_config(**SECTIONS).model_dump(mode="json")
    shown = without_secrets(config)
    assert SECRET in json.dumps(config)
    assert SECRET not in json.dumps(shown)
    assert shown["model"]["model_args"] == {"dtype": "float32"}
    assert shown["training"]["trainer_args"] == {"max_steps": 3}
    assert {**shown, **dict.fromkeys(SECTIONS)} == {**config, **dict.fromkeys(SECTIONS)}


def test_a_label_and_a_metric_argument_may_be_called_so() -> None:
    named = {
        "dataset": {"labels": {"token": "token", "secret": "secret"}},
        "evaluation": {"metric_args": {"mine": {"token": "x"}}},
    }
    assert without_secrets(named) == named


def test_a_run_is_the_same_with_another_token() -> None:
    plain = make_config(model={"model_args": {"dtype": "float32"}})
    token = make_config(model={"model_args": {"dtype": "float32", "token": SECRET}})
    assert canonical(plain, trains=True) == canonical(token, trains=True)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs whose configs differ in their tokens, and in more."""
    folder = tmp_path_factory.mktemp("results")
    for seed in (13, 14):
        model_args = {"token": f"{SECRET}{seed}", "trust_remote_code": seed == 13}
        config = {**SECTIONS, "model": {"model_args": model_args}}
        write_scored(folder, ["x", "y"], [0.5, 0.9], seed=seed, config=config)
    return folder


def test_reports_tables_and_frames_do_not_tell_them(results: Path, tmp_path: Path) -> None:
    page = sft.write_report([results], tmp_path / "report.html").read_text(encoding="utf-8")
    files = sft.aggregate_results([results], out=tmp_path).files
    frame = sft.load_results(results).runs
    assert "trust_remote_code" in page
    assert "model.model_args.trust_remote_code" in frame.columns
    for text in (page, frame.to_csv(), *(file.read_text(encoding="utf-8") for file in files)):
        assert SECRET not in text


def test_trackers_and_the_harness_are_not_told_them() -> None:
    config = make_config(**SECTIONS)
    command = hf_model(config.model, ModelSource("some/model", None, None), None, None)
    assert command is not None
    assert "dtype=float32" in command.command("task")
    for told in (settings("id", config.model_dump(mode="json")), config_values(config), command.command("task")):
        assert SECRET not in json.dumps(told)

"""One path for every kind of data set: many labels, two columns, another language, generation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft.config.load import config_from_value
from sft.pipeline.endpoints import run_experiment
from sft.records import read_items

CASES: dict[str, dict[str, Any]] = {
    "banking77": {"columns": ["text"], "output": "label", "labels": 77},
    "sick_nli": {"columns": ["premise", "hypothesis"], "output": "label", "labels": 3},
    "umsab_es_sentiment": {"columns": ["text"], "output": "label", "labels": 3},
    "e2e_nlg": {"columns": ["mr"], "output": "ref", "labels": None},
}


@pytest.mark.parametrize("name", CASES)
def test_a_real_data_set_is_trained_on_and_evaluated_without_a_special_case(
    name: str, assets: Path, tmp_path: Path
) -> None:
    case = CASES[name]
    value = {
        "dataset": {
            "path": str(assets / "data" / name),
            "task_type": "classification" if case["labels"] else "generation",
            "shots": 1,
            "max_n_test": 6,
        },
        "model": {"name": str(assets / "models" / "base-8m")},
        "prompting": {"input_columns": case["columns"], "output_column": case["output"], "max_output_length": 48},
        "lora": {"r": 4, "target_modules": "all-linear"},
        "training": {"trainer_args": {"max_steps": 2, "learning_rate": 1e-3}},
        "inference": {},
    }
    run = run_experiment(config_from_value(value, name, endpoint="run-experiment"), tmp_path)
    items = read_items(run.folder)
    assert len(items) == 6
    assert run.record.counts["pool_rows"] == (case["labels"] or 1)
    if case["labels"]:
        assert all(len(item["scores"]) == case["labels"] for item in items)
        assert 0 <= run.record.results["accuracy"] <= 1
    else:
        assert all(item["prediction"] == item["generated"] for item in items)
        assert run.record.results["chrf"] > 0

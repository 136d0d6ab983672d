"""Structured answers from shots to metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sft.errors import PromptError, SftError
from sft.evaluation.metrics import compute_metrics
from sft.evaluation.stored_answers import stored_outcome
from sft.pipeline.endpoints import evaluate, run_experiment
from sft.pipeline.predict import predict
from sft.records import read_items
from sft.reporting.compare import compare_runs
from tests.tiny_runs import tiny_run

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "seats": {"type": "integer", "minimum": 1, "maximum": 99}},
    "required": ["seats"],
    "additionalProperties": False,
}
TRAIN = [{"order": f"table {i}", "out": json.dumps({"seats": i + 1, "city": "عمّان"})} for i in range(4)]
TEST = [{"order": f"a table for {i}", "out": json.dumps({"seats": i})} for i in (2, 12)]


def structured_run(folder: Path, **sections: Any) -> Any:
    prompting = {"input_columns": ["order"], "output_column": "out", "output_schema": SCHEMA}
    prompting |= sections.pop("prompting", {})
    return tiny_run(
        folder,
        train=TRAIN,
        test=TEST,
        dataset={"task_type": "structured", "shots": 3, **sections.pop("dataset", {})},
        prompting=prompting,
        **sections,
    )


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_constrained_answers_are_values_of_the_schema(chat: bool, tmp_path: Path) -> None:
    config = structured_run(
        tmp_path, chat=chat, inference={"icl_examples": 1, "generation_args": {"do_sample": True, "temperature": 2.0}}
    )
    run = run_experiment(config, tmp_path / "results")
    items = read_items(run.folder)
    assert [item["reference"] for item in items] == ['{"seats": 2}', '{"seats": 12}']
    for item in items:
        value = json.loads(item["prediction"])
        assert set(value) <= {"city", "seats"}
        assert 1 <= value["seats"] <= 99
        assert "problem" not in item
    assert run.record.results["schema_valid"] == 1
    assert run.record.inference["constrained"]
    assert run.record.inference["problems"] == 0
    stored = stored_outcome(items, run.record, run.folder)
    assert compute_metrics(stored, None, {}) == run.record.results


def test_free_answers_are_marked_where_they_are_no_values(tmp_path: Path) -> None:
    config = structured_run(tmp_path, dataset={"shots": 0}, inference={"constrained": False})
    run = evaluate(config, tmp_path / "results")
    items = read_items(run.folder)
    assert all(item["problem"].startswith("no JSON: ") for item in items)
    assert run.record.inference["problems"] == len(items) == 2
    assert run.record.results["valid_json"] == 0
    constrained = evaluate(structured_run(tmp_path, dataset={"shots": 0}), tmp_path / "results")
    assert constrained.folder != run.folder
    comparison = compare_runs(constrained.folder, run.folder)
    assert (comparison.right, len(comparison.items)) == ("exact_match", 2)
    found = {one.name: (one.first, one.second) for one in comparison.metrics}
    assert found["schema_valid"] == (1.0, 0.0)


def test_training_learns_canonical_json_of_several_columns(tmp_path: Path) -> None:
    """The default number of new tokens is that of the longest reference and its end."""
    columns = [{"order": row["order"], **json.loads(row["out"])} for row in TRAIN]
    config = tiny_run(
        tmp_path,
        train=columns,
        test=[{**row, "order": f"other {i}"} for i, row in enumerate(columns)],
        dataset={"task_type": "structured", "shots": 2},
        prompting={
            "input_columns": ["order"],
            "output_column": "",
            "output_columns": ["seats", "city"],
            "output_schema": SCHEMA,
        },
    )
    run = run_experiment(config, tmp_path / "results")
    expected = '{"city": "عمّان", "seats": 1}'
    assert read_items(run.folder)[0]["reference"] == expected
    assert run.record.inference["max_new_tokens"] == len(f" {expected}".encode()) + 1
    assert run.record.results["schema_valid"] == 1


def test_predict_writes_the_values_as_json(tmp_path: Path) -> None:
    config = structured_run(tmp_path, dataset={"shots": 0})
    frame = pd.read_csv(predict(config, tmp_path / "predictions"), sep="\t", keep_default_na=False)
    assert all(isinstance(json.loads(text)["seats"], int) for text in frame["predictions"])


def test_too_few_new_tokens_for_any_value_are_refused(tmp_path: Path) -> None:
    config = structured_run(tmp_path, dataset={"shots": 0}, inference={"generation_args": {"max_new_tokens": 5}})
    with pytest.raises(SftError, match=r'at most 5 tokens, and .*{"seats": \d}.*has 13'):
        evaluate(config, tmp_path / "results")


def test_references_are_never_cut(tmp_path: Path) -> None:
    config = structured_run(tmp_path, prompting={"max_output_length": 20})
    with pytest.raises(PromptError, match="structured answers are never cut"):
        run_experiment(config, tmp_path / "results")

"""The examples of docs/python.md run, one after the other, and give what their comments say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sft
from sft.errors import SftError
from sft.records import read_items
from tests.fakes import write_config
from tests.tiny_runs import tiny_run
from tests.unit.reporting.scored_runs import write_multilabel

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples define."""
    blocks = BLOCK.findall((Path(__file__).parents[2] / "docs/python.md").read_text(encoding="utf-8"))
    assert len(blocks) == 4
    folder = tmp_path_factory.mktemp("docs")
    write_config(folder / "my.json", tiny_run(folder).model_dump(mode="json"))
    names: dict[str, Any] = {"folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks:
            exec(compile(block, "docs/python.md", "exec"), names)
        # Lazily made, and paths are relative.
        names["frames"] = [names["results"].runs, names["results"].items, names["results"].table]
    return names


def test_runs_have_what_differs_and_what_came_out(names: dict[str, Any]) -> None:
    runs, run = names["results"].runs, names["run"]
    assert len(runs) == 2
    assert runs["dataset.shots"].tolist() == [0, 2] or runs["dataset.shots"].tolist() == [2, 0]
    assert "model.name" not in runs.columns
    one = runs.set_index("run_id").loc[run.record.run_id]
    assert one["accuracy"] == run.record.results["accuracy"]
    assert one["seed"] == run.record.seed == 14
    assert one["baselines.majority.accuracy"] == run.record.baselines["majority"]["accuracy"]
    assert one["seconds.total"] == run.record.timings["total"]
    assert Path(one["folder"]) == names["folder"] / run.folder
    assert "per_class" not in runs.columns
    assert set(runs["name"].dropna()) == {"zero-shot"}
    assert names["by_shots"].loc[2] == run.record.results["accuracy"]


def test_items_are_those_of_every_run(names: dict[str, Any]) -> None:
    items, run = names["results"].items, names["run"]
    own = items[items["run_id"] == run.record.run_id]
    stored = read_items(names["folder"] / run.folder)
    assert len(items) == 2 * len(stored)
    assert own["inputs.text"].tolist() == [item["inputs"]["text"] for item in stored]
    assert own["correct"].mean() == pytest.approx(run.record.results["accuracy"])
    for (_, row), item in zip(own.iterrows(), stored, strict=True):
        assert list(row["probabilities"].values()) == item["probabilities"]
        assert row["probabilities"][row["prediction"]] == row["probability"] == max(item["probabilities"])
    assert names["most_confident_errors"]["probability"].is_monotonic_decreasing
    assert names["per_class"].shape == (2, 3)


def test_the_table_is_the_one_that_aggregating_writes(names: dict[str, Any]) -> None:
    folder = names["folder"] / "results"
    sft.aggregate_results([folder], formats=["csv"])
    pd.testing.assert_frame_equal(names["results"].table, pd.read_csv(folder / "aggregated_results.csv"))
    assert names["results"].notes == list(names["results"].report.notes)
    assert [type(record) for record in names["results"].records] == [sft.RunRecord] * 2


def test_a_broken_run_does_not_hide_the_others(names: dict[str, Any], tmp_path: Path) -> None:
    folder = names["folder"] / names["run"].folder
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
        for file in ("record.json", "items.jsonl"):
            (tmp_path / name / file).write_bytes((folder / file).read_bytes())
    (tmp_path / "cut/items.jsonl").write_text("{", encoding="utf-8")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/record.json").write_text(json.dumps({"schema_version": 99}), encoding="utf-8")
    results = sft.load_results(tmp_path)
    assert len(results.runs) == 2
    assert len(results.items) == len(read_items(folder))
    assert any("schema version 99" in note for note in results.notes)
    assert any("cut/items.jsonl" in note for note in results.notes)


def test_generated_texts_have_no_probabilities(tmp_path: Path) -> None:
    rows = [{"text": f"say {word}", "label": word} for word in ("one", "two")]
    config = tiny_run(
        tmp_path,
        train=rows,
        test=[{"text": f"please {row['text']}", "label": row["label"]} for row in rows],
        dataset={"task_type": "generation", "shots": 0},
        inference={"generation_args": {"max_new_tokens": 2}},
    )
    sft.run_experiment(config, tmp_path / "results")
    items = sft.load_results(tmp_path / "results").items
    assert items["references"].tolist() == [["one"], ["two"]]
    assert items["probabilities"].isna().all()
    assert items["correct"].dtype == np.bool_


def test_any_number_of_labels_has_no_probability_of_its_own(tmp_path: Path) -> None:
    write_multilabel(tmp_path)
    items = sft.load_results(tmp_path).items
    assert items["probability"].isna().all()
    assert items["probabilities"][0] == {"a": 0.5, "b": 0.25, "c": 0.125}
    assert items["correct"].tolist() == [False, True]


def test_a_path_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SftError, match="no such folder"):
        sft.load_results(tmp_path / "nothing")

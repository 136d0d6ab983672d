"""`predict`: a TSV that pandas reads back to the same rows, with answers beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sft.errors import DataError, SftError
from sft.pipeline.endpoints import evaluate, train
from sft.pipeline.predict import predict
from sft.records import read_items
from tests.fakes import LABELS, labelled_rows, write_jsonl
from tests.tiny_runs import tiny_run

AWKWARD = [
    "a\ttab",
    "two\nlines",
    'with "quotes" and, commas',
    "carriage\rreturn",
    "windows\r\nlines",
    "",
    "   ",
    "None",
    "NA",
    "a \\ backslash\\n",
    "'single' `back`",
    "ünïcödé 日本語 🎉 \u2028 separator",
    "#comment",
    "=1+1",
]


def rows(texts: list[str]) -> list[dict[str, Any]]:
    return [{"text": text, "label": LABELS[i % 3]} for i, text in enumerate(texts)]


def read(path: Path) -> pd.DataFrame:
    """As a user would, with texts like "NA" and "" left as they are."""
    return pd.read_csv(path, sep="\t", keep_default_na=False)


def test_awkward_texts_come_back_as_they_were_one_row_each(tmp_path: Path) -> None:
    path = predict(tiny_run(tmp_path, test=rows(AWKWARD)), tmp_path / "predictions")
    assert path == tmp_path / "predictions"
    frame = read(path)
    assert frame["text"].tolist() == AWKWARD
    assert frame["label"].tolist() == [row["label"] for row in rows(AWKWARD)]
    assert len(pd.read_csv(path, sep="\t")) == len(AWKWARD)


def test_predictions_and_probabilities_are_those_of_evaluate(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, test=rows(AWKWARD), inference={"calibration": {"method": "batch"}})
    frame = read(predict(config, tmp_path / "predictions.tsv"))
    items = read_items(evaluate(config, tmp_path / "results").folder)
    assert list(frame.columns) == ["text", "label", "predictions", *(f"probability_{name}" for name in LABELS)]
    assert frame["predictions"].tolist() == [item["prediction"] for item in items]
    probabilities = frame[[f"probability_{name}" for name in LABELS]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(probabilities, [item["probabilities"] for item in items], atol=1e-6)
    assert [LABELS[i] for i in probabilities.argmax(axis=1)] == frame["predictions"].tolist()


def test_only_the_chosen_test_rows_are_predicted_each_beside_its_own_columns(tmp_path: Path) -> None:
    test = [{**row, "number": i} for i, row in enumerate(labelled_rows(5, prefix="unseen "))]
    config = tiny_run(tmp_path, test=test, dataset={"max_n_test": 6})
    frame = read(predict(config, tmp_path / "predictions"))
    chosen = evaluate(config, tmp_path / "results").record.data["test_row_numbers"]
    assert frame["number"].tolist() == chosen
    assert frame["text"].tolist() == [test[i]["text"] for i in chosen]


def test_nested_columns_are_json_and_numbers_stay_numbers(tmp_path: Path) -> None:
    extra = [
        {"tags": ["a\tb", 'q"'], "meta": {"source": "x\ny", "n": [1, 2]}, "length": 3, "share": 0.1, "seen": True},
        {"tags": [], "meta": {"source": "", "n": []}, "length": -1, "share": 1e-7, "seen": False},
        {"tags": ["ü"], "meta": {"source": "z", "n": [3]}, "length": 0, "share": 2.0, "seen": True},
    ]
    test = [{**row, **more} for row, more in zip(labelled_rows(1, prefix="unseen "), extra, strict=True)]
    frame = read(predict(tiny_run(tmp_path, test=test), tmp_path / "predictions"))
    assert [json.loads(value) for value in frame["tags"]] == [row["tags"] for row in extra]
    assert [json.loads(value) for value in frame["meta"]] == [row["meta"] for row in extra]
    for column in ("length", "share", "seen"):
        assert frame[column].tolist() == [row[column] for row in extra]


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    test = [{**row, "note": note} for row, note in zip(labelled_rows(1), ["x", None, "y"], strict=True)]
    frame = pd.read_csv(predict(tiny_run(tmp_path, test=test), tmp_path / "predictions"), sep="\t")
    assert frame["note"].isna().tolist() == [False, True, False]


def test_a_checkpoint_changes_the_predictions(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, trainer_args={"output_dir": str(tmp_path / "adapter"), "max_steps": 20})
    bare = read(predict(config, tmp_path / "bare"))
    trained = read(predict(config, tmp_path / "trained", checkpoint=str(train(config).folder)))
    assert (bare["probability_neutral"] - trained["probability_neutral"]).abs().max() > 0.01


def test_an_existing_folder_gets_a_file_named_after_the_run(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    path = predict(tiny_run(tmp_path), tmp_path / "out")
    assert path.parent == tmp_path / "out"
    assert path.name.endswith("llama-shots2-icl0-0-seed13.tsv")
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [path.name]


def test_a_file_of_unlabelled_rows_is_predicted_instead_of_the_test_split(tmp_path: Path) -> None:
    unlabelled = write_jsonl(tmp_path / "new.jsonl", [{"id": i, "text": text} for i, text in enumerate(AWKWARD)])
    frame = read(predict(tiny_run(tmp_path), tmp_path / "predictions", input_path=str(unlabelled)))
    assert frame["id"].tolist() == list(range(len(AWKWARD)))
    assert frame["text"].tolist() == AWKWARD
    assert set(frame["predictions"]) <= set(LABELS)


def test_a_row_gets_the_same_prediction_in_a_file_and_in_the_test_split(tmp_path: Path) -> None:
    test = labelled_rows(3, prefix="unseen ")
    config = tiny_run(tmp_path, test=test, inference={"icl_examples": 1})
    unlabelled = write_jsonl(tmp_path / "new.jsonl", [{"text": row["text"]} for row in test])
    split = read(predict(config, tmp_path / "split"))
    file = read(predict(config, tmp_path / "file", input_path=str(unlabelled)))
    columns = ["text", "predictions", *(f"probability_{name}" for name in LABELS)]
    pd.testing.assert_frame_equal(file[columns], split[columns], atol=1e-6)


@pytest.mark.parametrize("column", ["predictions", "probability_neutral"])
def test_a_column_that_predict_would_write_to_is_refused_before_the_model_is_loaded(
    column: str, tmp_path: Path
) -> None:
    test = [{**row, column: "taken"} for row in labelled_rows(1, prefix="unseen ")]
    config = tiny_run(tmp_path, test=test, model={"name": "nobody/no-such-model"})
    with pytest.raises(SftError, match=f"a column '{column}' of its own"):
        predict(config, tmp_path / "predictions")
    assert not (tmp_path / "predictions").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("new.jsonl", '{"texte": "x"}\n', "has no column 'text'"),
        ("new.txt", "x", "unknown ending|mixes files"),
        ("new.csv", "text\n", "file without rows"),
    ],
)
def test_an_input_file_that_cannot_be_used_is_an_error(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        predict(tiny_run(tmp_path), tmp_path / "predictions", input_path=str(tmp_path / name))


def test_a_path_that_cannot_be_written_is_an_error_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = tiny_run(tmp_path, model={"name": "nobody/no-such-model"})
    with pytest.raises(SftError, match="--results-path"):
        predict(config, tmp_path / "file" / "predictions")

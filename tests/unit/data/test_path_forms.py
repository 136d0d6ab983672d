"""Every form of `dataset.path` gives the same rows; what isn't there is told, with what is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from sft.data.load import load_task, load_unlabelled
from sft.data.splits import load_splits
from sft.errors import DataError, SftError
from tests.fakes import labelled_rows, make_config, write_dataset, write_jsonl

ROWS = {"train": labelled_rows(2), "test": labelled_rows(1, prefix="unseen ")}


def _write_frames(folder: Path, write: Callable[[pd.DataFrame, Path], Any], name: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in ROWS.items():
        write(pd.DataFrame(rows), folder / name.format(split))
    return str(folder)


def _csv(folder: Path) -> str:
    return _write_frames(folder, lambda frame, path: frame.to_csv(path, index=False), "{}.csv")


def _tsv(folder: Path) -> str:
    return _write_frames(folder, lambda frame, path: frame.to_csv(path, index=False, sep="\t"), "{}.tsv")


def _parquet(folder: Path) -> str:
    return _write_frames(folder, lambda frame, path: frame.to_parquet(path), "{}-00000-of-00001.parquet")


def _json(folder: Path) -> str:
    return _write_frames(folder, lambda frame, path: frame.to_json(path, orient="records"), "{}.json")


def _jsonl(folder: Path) -> str:
    return str(write_dataset(folder, **ROWS))


def _saved(folder: Path) -> str:
    splits = {split: datasets.Dataset.from_list(rows) for split, rows in ROWS.items()}
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return str(folder)


def _list_of_files(folder: Path) -> list[str]:
    _jsonl(folder)
    return [str(folder / "test.jsonl"), str(folder / "train.jsonl")]


def _map_of_files(folder: Path) -> dict[str, str | list[str]]:
    half = len(ROWS["train"]) // 2
    parts = [
        write_jsonl(folder / "a.jsonl", ROWS["train"][:half]),
        write_jsonl(folder / "b.jsonl", ROWS["train"][half:]),
    ]
    return {"train": [str(part) for part in parts], "test": str(write_jsonl(folder / "c.jsonl", ROWS["test"]))}


FORMS: list[Callable[[Path], Any]] = [_csv, _tsv, _parquet, _json, _jsonl, _saved, _list_of_files, _map_of_files]


@pytest.mark.parametrize("form", FORMS, ids=[form.__name__.strip("_") for form in FORMS])
def test_every_form_of_path_gives_the_same_rows(tmp_path: Path, form: Callable[[Path], Any]) -> None:
    task = load_task(make_config(dataset={"path": form(tmp_path / "data")}))
    assert task.labels is not None
    for split, examples in (("train", task.train), ("test", task.test)):
        found = [(example.row, dict(example.inputs), task.labels.names[example.label or 0]) for example in examples]
        assert found == [(i, {"text": row["text"]}, row["label"]) for i, row in enumerate(ROWS[split])]


def test_the_fingerprint_is_of_the_rows_not_of_their_files(tmp_path: Path) -> None:
    paths = [_csv(tmp_path / "csv"), _jsonl(tmp_path / "jsonl")]
    other = write_dataset(tmp_path / "other", [*ROWS["train"][1:], ROWS["train"][0]], ROWS["test"])
    first, second, reordered = (
        load_task(make_config(dataset={"path": str(path)})).fingerprint for path in [*paths, other]
    )
    assert first == second
    assert reordered != first


def test_paths_are_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _jsonl(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert len(load_task(make_config(dataset={"path": "data"})).train) == 6


def test_arguments_go_to_the_loader(tmp_path: Path) -> None:
    _write_frames(tmp_path, lambda frame, path: frame.to_csv(path, index=False, sep=";"), "{}.csv")
    task = load_task(make_config(dataset={"path": str(tmp_path), "args": {"sep": ";"}}))
    assert [example.inputs["text"] for example in task.test] == [row["text"] for row in ROWS["test"]]


def test_splits_may_have_different_further_columns(tmp_path: Path) -> None:
    for folder, frame in (("csv", "{}.csv"), ("jsonl", "{}.jsonl")):
        path = tmp_path / folder
        write_dataset(path, ROWS["train"], [{"id": 7, **row} for row in ROWS["test"]])
        if folder == "csv":
            for split in ROWS:
                file = path / f"{split}.jsonl"
                pd.read_json(file, lines=True).to_csv(path / frame.format(split), index=False)
                file.unlink()
        task = load_task(make_config(dataset={"path": str(path)}))
        assert task.test_rows.column_names == ["id", "text", "label"]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a good data set in `good` and broken ones beside it."""
    write_dataset(tmp_path / "good", **ROWS)
    write_jsonl(tmp_path / "only_train" / "train.jsonl", ROWS["train"])
    write_dataset(tmp_path / "empty_file", ROWS["train"], [])
    write_dataset(tmp_path / "unlabelled_test", ROWS["train"], [{"text": "x"}])
    write_dataset(tmp_path / "syntax", **ROWS)
    (tmp_path / "syntax" / "test.jsonl").write_text("{no json\n")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "header_only.csv").write_text("text,label\n")
    (tmp_path / "good.csv").write_text("text,label\nnice,good\n")
    (tmp_path / "unquoted.csv").write_text("text,label\nnice, quick,good\nslow,bad\n")
    (tmp_path / "unquoted_later.csv").write_text("text,label\nslow,bad\nnice, quick,good\n")
    (tmp_path / "trailing.csv").write_text("text,label\nnice,good,\nslow,bad,\n")
    write_dataset(tmp_path / "mixed", **ROWS)
    Path(_csv(tmp_path / "other"), "test.csv").rename(tmp_path / "mixed" / "test_2.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# (changes to the dataset section, changes to the prompting section, what the message says)
REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"path": "only_train"}, {}, "has no split 'test'; it has: train"),
    ({"path": {"training": "good/train.jsonl", "test": "good/test.jsonl"}}, {}, "no split 'train'; it has: training"),
    ({"path": "good"}, {"input_columns": ["txt"]}, "split 'train' of 'good' has no column 'txt'; it has: text, label"),
    ({"path": "good"}, {"output_column": "lable"}, "did you mean 'label'?"),
    ({"path": "unlabelled_test"}, {}, "split 'test' of 'unlabelled_test' has no column 'label'; it has: text"),
    ({"path": "empty_file"}, {}, "the data file 'empty_file/test.jsonl' is empty"),
    ({"path": "syntax"}, {}, "JSON parse error"),
    ({"path": "nothing"}, {}, "holds no data file of a split; it holds: nothing"),
    ({"path": "mixed"}, {}, "mixes files of the endings .csv, .jsonl"),
    ({"path": "good/tain.jsonl"}, {}, "no file or folder 'good/tain.jsonl'"),
    ({"path": "good/tain.jsonl"}, {}, "good/ holds: test.jsonl, train.jsonl"),
    ({"path": "good/deeper"}, {}, "no file or folder 'good/deeper'"),
    ({"path": ["good/train.jsonl", "nothing"]}, {}, "no file 'nothing'"),
    ({"path": ["good/train.jsonl", "good/train.xlsx"]}, {}, "no file"),
    ({"path": "./good2"}, {}, "no file or folder './good2'"),
    ({"path": "org/good2"}, {}, "can't load the data set 'org/good2' as a local path or a hub id"),
    ({"path": "good2"}, {}, "can't load the data set 'good2' as a local path or a hub id"),
    ({"path": "good2"}, {}, " holds no 'good2'"),
    ({"path": "unquoted.csv"}, {}, "'unquoted.csv': the first row has 3 fields, and the header 2"),
    ({"path": "trailing.csv"}, {}, "'trailing.csv': the first row has 3 fields, and the header 2"),
    ({"path": ["good.csv", "unquoted.csv"]}, {}, "'unquoted.csv': the first row has 3 fields, and the header 2"),
    ({"path": "unquoted_later.csv"}, {}, "Expected 2 fields in line 3, saw 3"),
    ({"path": "header_only.csv"}, {}, "'header_only.csv' has a file without rows"),
    ({"path": "good", "args": {"nonsense": 1}}, {}, "unexpected keyword argument 'nonsense'"),
    ({"path": "good", "args": {"split": "train"}}, {}, "Unknown split"),
    ({"path": "good", "args": {"streaming": True}}, {}, "remove `split` and `streaming`"),
]


@pytest.mark.parametrize(("dataset", "prompting", "message"), REFUSED, ids=[f"{c[0]['path']}: {c[2]}" for c in REFUSED])
def test_what_is_not_there_is_told(
    broken: Path, dataset: dict[str, Any], prompting: dict[str, Any], message: str
) -> None:
    with pytest.raises(SftError) as caught:
        load_task(make_config(dataset=dataset, prompting=prompting))
    assert message in str(caught.value)


@pytest.mark.parametrize(("quoting", "rows"), [({}, 2), ({"quoting": 3}, 4)])
def test_rows_that_an_open_quotation_mark_takes_in_are_a_warning(
    broken: Path, caplog: pytest.LogCaptureFixture, quoting: dict[str, Any], rows: int
) -> None:
    (broken / "quotes.tsv").write_text('text\tlabel\n"so nice\ta\nbad\tb\n"so so\ta\nslow\tb\n')
    dataset = make_config(dataset={"path": ["quotes.tsv"], "args": quoting}).dataset
    assert len(load_splits(dataset)["quotes"]) == rows
    assert ("quotes.tsv: 1 values hold a tab and a line break" in caplog.text) is (rows == 2)


def test_rows_to_predict_need_their_inputs_only(broken: Path) -> None:
    write_jsonl(broken / "new.jsonl", [{"text": " one ", "id": 1}, {"text": None, "id": 2}])
    examples, rows = load_unlabelled("new.jsonl", make_config())
    assert [(e.row, dict(e.inputs), e.label, e.references) for e in examples] == [
        (0, {"text": "one"}, None, ()),
        (1, {"text": ""}, None, ()),
    ]
    assert rows["id"] == [1, 2]
    for path, message in [("good", "is not a file"), ("no.jsonl", "no file or folder"), ("org/x", "is not a file")]:
        with pytest.raises(SftError, match=message):
            load_unlabelled(path, make_config())
    with pytest.raises(DataError, match=r"--input 'new\.jsonl' has no column 'body'"):
        load_unlabelled("new.jsonl", make_config(prompting={"input_columns": ["body"]}))

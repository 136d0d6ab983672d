"""Texts come out of files as they are written there, whatever they look like to a loader."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft.data.load import load_task
from sft.data.text import clean
from tests.fakes import make_config, write_dataset

# Texts that loaders like to read as something else.
TRICKY = [
    "NA", "N/A", "null", "None", "NaN", "nan", "", "#N/A", "-", "True", "false", "007", "1.10", "1e5", "-0",
    "2020-01-01", "10:30", 'He said "hi", then left', "two\nlines", "tab\there", "a,b;c", "'", '"', "\\n", "é😀ا",
    "a\u2028b", "=1+1", "12345678901234567890123",
]  # fmt: skip


def csv_text(rows: list[list[str]], delimiter: str = ",") -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def write(folder: Path, ending: str, texts: list[str], labels: list[str]) -> str:
    folder.mkdir(exist_ok=True)
    rows = [[text, label] for text, label in zip(texts, labels, strict=True)]
    for split, part in (("train", rows), ("test", [["unseen", labels[0]]])):
        content = csv_text([["text", "label"], *part], "\t" if ending == "tsv" else ",")
        (folder / f"{split}.{ending}").write_text(content, encoding="utf-8", newline="")
    return str(folder)


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_texts_in_csv_and_tsv_are_read_as_they_are_written(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, ending, TRICKY, ["a", "b"] * (len(TRICKY) // 2))
    task = load_task(make_config(dataset={"path": path}))
    assert [example.inputs["text"] for example in task.train] == TRICKY


@pytest.mark.parametrize("text", TRICKY)
def test_a_column_of_texts_that_all_look_alike_is_not_guessed_to_be_something_else(tmp_path: Path, text: str) -> None:
    """A loader guesses the type of a whole column, so one odd text among others would hide the guess."""
    as_csv = load_task(make_config(dataset={"path": write(tmp_path / "csv", "csv", [text] * 3, ["a", "b", "a"])}))
    rows = [{"text": text, "label": label} for label in "aba"]
    folder = write_dataset(tmp_path / "jsonl", rows, [{"text": "unseen", "label": "a"}])
    as_json = load_task(make_config(dataset={"path": str(folder)}))
    for task in (as_csv, as_json):
        assert {example.inputs["text"] for example in task.train} == {text}


def test_labels_and_references_that_look_like_numbers_or_dates_stay_as_written(tmp_path: Path) -> None:
    path = write(tmp_path / "csv", "csv", ["x", "y"], ["007", "1.10"])
    labels = load_task(make_config(dataset={"path": path})).labels
    assert labels is not None
    assert labels.names == ("1.10", "007")
    rows = [{"text": "x", "label": ["2020-01-01", "2020-01-02"]}]
    folder = write_dataset(tmp_path / "jsonl", rows, rows)
    task = load_task(make_config(dataset={"path": str(folder), "task_type": "generation"}))
    assert task.test[0].references == ("2020-01-01", "2020-01-02")


def test_dates_in_a_json_list_are_read_back_too(tmp_path: Path) -> None:
    for split in ("train", "test"):
        text = '[{"text": "2020-01-01", "label": "a"},\n {"text": "2020-01-02", "label": "b"}]'
        (tmp_path / f"{split}.json").write_text(text, encoding="utf-8")
    task = load_task(make_config(dataset={"path": str(tmp_path), "deduplicate": False}))
    assert [example.inputs["text"] for example in task.train] == ["2020-01-01", "2020-01-02"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=5))
def test_any_text_survives_json_lines(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    write_dataset(folder, [{"text": text, "label": "a"} for text in texts], [{"text": "unseen by all", "label": "a"}])
    task = load_task(make_config(dataset={"path": str(folder), "deduplicate": False}))
    assert [example.inputs["text"] for example in task.train] == [clean(text) for text in texts]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (" a ", "a"),
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("\n\n a  b\t", "a  b"),
        (3, "3"),
        (0.5, "0.5"),
        (True, "True"),
        ("", ""),
    ],
)
def test_clean_unifies_line_ends_and_removes_white_space_around_a_text(value: object, text: str) -> None:
    assert clean(value) == text
    assert clean(clean(value)) == text


def test_references_are_a_text_or_a_list_of_equally_good_texts(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": [" first ", "second"]}, {"text": "y", "label": ["only"]}]
    folder = write_dataset(tmp_path / "lists", rows, rows)
    task = load_task(make_config(dataset={"path": str(folder), "task_type": "generation"}))
    assert [example.references for example in task.test] == [("first", "second"), ("only",)]
    assert task.labels is None
    single = write_dataset(tmp_path / "single", [{"text": "x", "label": " a "}], [{"text": "y", "label": 4}])
    task = load_task(make_config(dataset={"path": str(single), "task_type": "generation"}))
    assert [example.references for example in [*task.train, *task.test]] == [("a",), ("4",)]


@pytest.mark.parametrize("missing", [None, [], [None]])
def test_a_missing_reference_is_told_with_its_row(tmp_path: Path, missing: object) -> None:
    good = "b" if missing is None else ["b"]
    rows = [{"text": "x", "label": good}, {"text": "y", "label": missing}]
    folder = write_dataset(tmp_path, rows, [{"text": "z", "label": good}])
    with pytest.raises(Exception, match="split 'train', column 'label', row 1: the reference is missing"):
        load_task(make_config(dataset={"path": str(folder), "task_type": "generation"}))

"""Where candidates stand, and which of them an output means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sft.data.load import load_task, load_unlabelled
from sft.errors import DataError
from tests.fakes import make_config, write_dataset, write_jsonl

FRUIT = ("apple", "pear", "plum")


def load(folder: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] = ("A", "B", "C"), **more: Any) -> Any:
    config = make_config(
        dataset={"path": str(write_dataset(folder, more.get("train", rows), rows)), "task_type": "multiple_choice"}
        | {"deduplicate": False},
        prompting={
            "input_columns": ["q"],
            "output_column": more.get("output", "right"),
            "candidate_columns": list(columns),
        },
    )
    return load_task(config)


def rows_of(outputs: Sequence[Any], texts: Sequence[str] = FRUIT) -> list[dict[str, Any]]:
    return [{"q": f"which is {i}?", **dict(zip("ABC", texts, strict=True)), "right": o} for i, o in enumerate(outputs)]


def in_lists(outputs: Sequence[Any], value: Any) -> list[dict[str, Any]]:
    return [{"q": f"which is {i}?", "choices": value, "right": output} for i, output in enumerate(outputs)]


@pytest.mark.parametrize(
    ("rows", "columns", "labels"),
    [
        (rows_of(["C", "A", "B"]), ["A", "B", "C"], [2, 0, 1]),
        (rows_of(["C", "A", "B"]), ["B", "A", "C"], [2, 1, 0]),  # columns' names come before letters
        (rows_of([2, 0, 1]), ["A", "B", "C"], [2, 0, 1]),
        (rows_of(["2", "0"]), ["A", "B", "C"], [2, 0]),
        (rows_of(["plum", " apple\n"]), ["A", "B", "C"], [2, 0]),
        (rows_of([100, 7], ("7", "50", "100")), ["A", "B", "C"], [2, 0]),  # no numbers of candidates: texts
        (in_lists(["C", "A"], list(FRUIT)), ["choices"], [2, 0]),
        (in_lists([1, 0], list(FRUIT)), ["choices"], [1, 0]),
        (in_lists(["pear", "plum"], list(FRUIT)), ["choices"], [1, 2]),
        (in_lists(["2", "1"], {"text": list(FRUIT), "label": ["1", "2", "3"]}), ["choices"], [1, 0]),  # not from 0
        (in_lists(["A", "C"], {"text": list(FRUIT), "label": ["C", "B", "A"]}), ["choices"], [2, 0]),
        (in_lists(["A", "C"], {"text": list(FRUIT)}), ["choices"], [0, 2]),
        (in_lists(["B", "C"], {"text": list(FRUIT), "label": ["1", "2", "3"]}), ["choices"], [1, 2]),
    ],
    ids=[
        "names of columns", "names before letters", "numbers", "numbers as texts", "texts", "numbers that are texts",
        "letters", "numbers of a list", "texts of a list", "a row's labels", "labels before letters", "no labels",
        "letters beside labels",
    ],
)  # fmt: skip
def test_an_output_means_a_candidate(
    rows: list[dict[str, Any]], columns: list[str], labels: list[int], tmp_path: Path
) -> None:
    examples = load(tmp_path, rows, columns).test
    texts = [rows[0][column] for column in columns] if len(columns) > 1 else list(FRUIT)
    assert [example.candidates for example in examples] == [tuple(texts)] * len(rows)
    assert [example.label for example in examples] == labels
    assert all(example.references == () for example in examples)


def test_a_column_of_right_answers_may_be_one_of_the_candidates(tmp_path: Path) -> None:
    """As SciQ is published: three wrong ones and the right one."""
    rows = [{"q": "?", "A": "apple", "B": "pear", "right": "plum"}]
    (example,) = load(tmp_path, rows, ["A", "B", "right"]).test
    assert example.candidates[example.label] == "plum"


def test_an_empty_cell_is_no_candidate_and_numbers_go_by_columns(tmp_path: Path) -> None:
    rows = rows_of([2, 0, 1])
    rows[0]["B"] = ""
    rows[1]["C"] = None
    examples = load(tmp_path, rows).test
    assert [example.candidates for example in examples] == [("apple", "plum"), ("apple", "pear"), FRUIT]
    assert [example.label for example in examples] == [1, 0, 1]


def test_a_text_that_a_row_holds_twice_is_one_candidate_and_right_under_both_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of(["C", "B"], ("apple", "pear", "apple "))
    examples = load(tmp_path, rows).test
    assert [example.candidates for example in examples] == [("apple", "pear")] * 2
    assert [example.label for example in examples] == [0, 1]
    assert "split 'test': 2 rows hold a candidate twice, which is scored as one (the first is row 0)" in caplog.text


def changed(row: dict[str, Any], **values: Any) -> list[dict[str, Any]]:
    return [*rows_of(["A", "B"]), {**row, **values}]


ROW = rows_of(["A"])[0]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (changed(ROW, right="D"), None, "row 2: 'D' means none of the row's candidates (A: 'apple', B: 'pear', C: "),
        (changed(ROW, right="C", C=""), None, "row 2: 'C' means none of the row's candidates (A: 'apple', B: 'pear');"),
        (changed(ROW, right="a"), None, "row 2: 'a' means none of"),
        (changed(ROW, right=None), None, "row 2: the right candidate is missing"),
        (
            rows_of([1, 2, 3]),
            None,
            "row 2: '3' means none of the row's candidates (A: 'apple', B: 'pear', C: 'plum'); ",
        ),
        (rows_of([0, -1]), None, "row 1: '-1' means none of"),
        (rows_of([1, 2], ("2", "1", "0")), None, "row 1: '2' is both a number counted from 0 and the text of another"),
        (
            changed(ROW, B="", C="apple"),
            None,
            "row 2: there is nothing to choose between: its candidates are ['apple', ",
        ),
        (in_lists(["A"], ["apple"]), ["choices"], "row 0: there is nothing to choose between"),
        (
            in_lists(["A"], "apple, pear"),
            ["choices"],
            "column 'choices', row 0: 'apple, pear' is no list of candidates",
        ),
        (in_lists(["A"], None), ["choices"], "column 'choices', row 0: None is no list of candidates"),
        (in_lists(["A"], {"text": list(FRUIT), "label": ["A"]}), ["choices"], "row 0: 3 texts and the labels ['A']"),
        (rows_of(["A"]), ["A", "D"], "has no column 'D'"),
    ],
)
def test_what_means_no_candidate_or_several_is_refused_with_its_row(
    rows: list[dict[str, Any]], columns: list[str] | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(tmp_path, rows, columns or ["A", "B", "C"], train=rows)
    assert caught.value.hint


def test_rows_without_answers_need_the_candidates(tmp_path: Path) -> None:
    config = make_config(
        dataset={"task_type": "multiple_choice"},
        prompting={"input_columns": ["q"], "output_column": "right", "candidate_columns": ["A", "B"]},
    )
    file = write_jsonl(tmp_path / "new.jsonl", [{"q": "which?", "A": "apple", "B": "pear"}])
    examples, _ = load_unlabelled(str(file), config)
    assert [(e.inputs, e.candidates, e.label) for e in examples] == [({"q": "which?"}, ("apple", "pear"), None)]
    with pytest.raises(DataError, match="has no column 'B'"):
        load_unlabelled(str(write_jsonl(tmp_path / "less.jsonl", [{"q": "which?", "A": "apple"}])), config)


def test_the_fingerprint_tells_other_candidates_apart(tmp_path: Path) -> None:
    rows = rows_of(["A", "B"])
    before = load(tmp_path / "a", rows).fingerprint
    assert load(tmp_path / "b", rows).fingerprint == before
    assert load(tmp_path / "c", rows_of(["A", "B"], ("apple", "pear", "fig"))).fingerprint != before

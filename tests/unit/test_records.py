"""Records on disk: whole or absent, readable by any JSON reader, and refused where they can't be understood."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft.errors import SftError
from sft.records import (
    RunRecord,
    find_records,
    read_items,
    read_record,
    read_support,
    write_items,
    write_json,
    write_record,
    write_support,
    write_text,
)


def record(**changes: Any) -> RunRecord:
    values: dict[str, Any] = {"run_id": "0123456789ab", "slug": "data-model", "status": "completed", "seed": 13}
    return RunRecord(**{**values, "config": {"seed": 13}, **changes})


def strict_json(path: Path) -> Any:
    """As other JSON readers would read it: NaN and Infinity are no JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = record(
        results={"accuracy": 0.5, "confusion_matrix": [[1, 2], [3, 4]], "per_class": {"a|b": {"f1": 1.0}}},
        counts={"test_rows": 3},
        warnings=["é\u2028\n"],
        training={"loss": 0.25},
        timings={"total": 1.5},
        name="shots=2",
    )
    path = write_record(written, tmp_path)
    assert path == tmp_path / "record.json"
    assert read_record(tmp_path) == written
    assert written.folder_name == "data-model-0123456789ab"


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    results = {
        "mcc": math.nan,
        "loss": math.inf,
        "list": [1.0, -math.inf],
        "tuple": (math.nan,),
        "deep": {"x": math.nan},
    }
    write_record(record(results=results), tmp_path)
    assert strict_json(tmp_path / "record.json")["results"] == {
        "mcc": None,
        "loss": None,
        "list": [1.0, None],
        "tuple": [None],
        "deep": {"x": None},
    }
    write_items(tmp_path, [{"scores": [math.nan, 1.0]}])
    assert read_items(tmp_path) == [{"scores": [None, 1.0]}]


def test_scores_beside_the_items_are_a_file_of_their_own_which_may_be_absent(tmp_path: Path) -> None:
    assert read_support(tmp_path) == []
    write_items(tmp_path, [{"row": 1}])
    assert write_support(tmp_path, [{"kind": "premise"}]).name == "support.jsonl"
    assert read_support(tmp_path) == [{"kind": "premise"}]
    assert read_items(tmp_path) == [{"row": 1}]


TEXTS = ["line\u2028separator", "paragraph\u2029", "next\x85line", "\x0b\x0c\x1c", "a\nb\r\nc", "", "تجربة 天 😀"]


def test_items_are_one_line_each_whatever_their_texts_hold(tmp_path: Path) -> None:
    items = [{"row": i, "inputs": {"text": text}} for i, text in enumerate(TEXTS)]
    path = write_items(tmp_path, items)
    assert path.read_bytes().count(b"\n") == len(items)
    assert read_items(tmp_path) == items


def test_no_items_are_an_empty_file(tmp_path: Path) -> None:
    write_items(tmp_path, [])
    assert read_items(tmp_path) == []


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(value=JSON_VALUES)
def test_any_json_value_comes_back_whatever_the_layout_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    write_json(path, value)
    assert strict_json(path) == value


def test_lists_of_numbers_are_written_on_one_line(tmp_path: Path) -> None:
    write_json(
        tmp_path / "x.json", {"rows": [1, 2, 30], "text": "[\n1,\n2\n] [1,  2 ]", "matrix": [[1, 0.5], [-2e-7, 3]]}
    )
    text = (tmp_path / "x.json").read_text()
    assert '"rows": [1, 2, 30]' in text
    assert "[1, 0.5]" in text
    assert strict_json(tmp_path / "x.json")["text"] == "[\n1,\n2\n] [1,  2 ]"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "x.txt"
    write_text(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half" * 10_000 + "\ud800")
    assert path.read_text() == "first"
    write_text(path, "second\r\n")
    assert path.read_bytes() == b"second\r\n"


def test_a_write_that_succeeds_leaves_nothing_else_behind(tmp_path: Path) -> None:
    write_record(record(), tmp_path)
    write_items(tmp_path, [{"row": 0}])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.jsonl", "record.json"]


@pytest.mark.parametrize("version", [0, 3, None, "1", True])
def test_a_record_of_another_schema_version_is_refused(tmp_path: Path, version: Any) -> None:
    write_record(record(schema_version=version), tmp_path)
    with pytest.raises(SftError, match=rf"record\.json: schema version {version!r}, this version of sft reads 1, 2"):
        read_record(tmp_path)


@pytest.mark.parametrize("change", [{"unknown": 1}, {"seed": ...}], ids=["unknown key", "missing key"])
def test_a_record_with_other_keys_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write_record(record(), tmp_path)
    values = json.loads((tmp_path / "record.json").read_text())
    values = {key: value for key, value in {**values, **change}.items() if value is not ...}
    (tmp_path / "record.json").write_text(json.dumps(values))
    with pytest.raises(SftError, match="not a run record"):
        read_record(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null"])
def test_a_file_that_holds_no_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(SftError, match=r"record\.json"):
        read_record(tmp_path)


def test_records_are_found_in_the_order_of_their_folders_and_unfinished_runs_are_not(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_record(record(name=name), tmp_path / name)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "items.jsonl").touch()
    assert [(folder.name, found.name) for folder, found in find_records(tmp_path)] == [("a", "a"), ("b", "b")]

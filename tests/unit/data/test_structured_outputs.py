"""Values of columns → canonical JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sft.config.load import config_from_value
from sft.data.json_values import NotJsonError, OutputSchema, parse_json, same_value
from sft.data.load import load_task
from sft.errors import DataError
from tests.fakes import config_value, write_dataset

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "born": {"type": "object", "properties": {"year": {"type": "integer"}, "place": {"type": "string"}}},
        "tags": {"type": "array", "items": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tag"}]}},
        "left": {"type": ["integer", "null"]},
    },
    "required": ["name"],
    "$defs": {"tag": {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}},
}


def references(folder: Path, rows: list[dict[str, Any]], **prompting: Any) -> list[str]:
    """What becomes of the rows' outputs; their inputs are all different."""
    numbered = [{"text": f"row {i}", **row} for i, row in enumerate(rows)]
    data = write_dataset(folder, numbered, [{**numbered[0], "text": "other"}])
    value = config_value(dataset={"path": str(data), "task_type": "structured"})
    value["prompting"] = {"input_columns": ["text"], **prompting}
    return [example.references[0] for example in load_task(config_from_value(value, "test")).train]


CANONICAL: list[tuple[Any, str]] = [
    ('{"tags": [], "name": "Zoë"}', '{"name": "Zoë", "tags": []}'),
    ({"name": "ليلى", "born": {"place": "x", "year": 3}}, '{"name": "ليلى", "born": {"year": 3, "place": "x"}}'),
    (
        ' {"name":"a\\u0062\\n\\"",\n"z":1, "y": {"d": 1, "c": 2}}',
        '{"name": "ab\\n\\"", "y": {"c": 2, "d": 1}, "z": 1}',
    ),
    ('{"name": "a", "tags": [null, {"a": "1", "b": "2"}]}', '{"name": "a", "tags": [null, {"b": "2", "a": "1"}]}'),
    ('{"name": "a", "left": null}', '{"name": "a", "left": null}'),
]


@pytest.mark.parametrize(("value", "expected"), CANONICAL)
def test_a_value_has_one_text(value: Any, expected: str, tmp_path: Path) -> None:
    found = references(tmp_path, [{"out": value}], output_column="out", output_schema=PERSON)
    assert found == [expected]
    assert json.loads(expected) == (json.loads(value) if isinstance(value, str) else value)


def test_nulls_that_a_data_set_fills_in_are_absent() -> None:
    """Readers of JSON lines and parquet give each row the keys of all."""
    filled = {
        "name": "a",
        "born": {"year": 3, "place": None},
        "tags": [{"a": None, "b": "x"}, None],
        "left": None,
        "other": None,
    }
    schema = OutputSchema(PERSON)
    assert schema.without_absent(filled) == {"name": "a", "born": {"year": 3}, "tags": [{"b": "x"}, None], "left": None}
    assert schema.problem(schema.without_absent({"name": None})) is not None


def test_a_list_of_names_stands_for_texts_that_may_be_absent(tmp_path: Path) -> None:
    rows = [{"out": '{"time": "7", "date": "now"}'}, {"out": "{}"}]
    found = references(tmp_path, rows, output_column="out", output_schema=["date", "time"])
    assert found == ['{"date": "now", "time": "7"}', "{}"]


def test_several_columns_are_one_object(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "s": {"type": "string"}, "l": {"type": "array"}},
        "required": ["s"],
    }
    rows = [{"s": '"7"', "n": "7", "l": "[1, 2]"}, {"s": "null", "n": None, "l": None}]
    found = references(tmp_path, rows, output_columns=["s", "n", "l"], output_schema=schema)
    assert found == ['{"n": 7, "s": "\\"7\\"", "l": [1, 2]}', '{"s": "null"}']


def test_a_text_is_read_as_json_unless_only_the_text_is_allowed(tmp_path: Path) -> None:
    schema = {"enum": ["yes", "no", 3, "3.5"]}
    rows = [{"out": value} for value in ("yes", '"no"', "3", "3.5")]
    assert references(tmp_path, rows, output_column="out", output_schema=schema) == ['"yes"', '"no"', "3", '"3.5"']


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"name": 3}', r"split 'train', column 'out', row 1.*\$\.name: 3 is not of type 'string'"),
        ('{"name": "a"', r"row 1.*is not of type 'object'"),
        ('{"born": {}}', r"row 1.*'name' is a required property"),
        ('{"name": "a", "born": {"year": NaN}}', r"row 1.*is not of type 'object'"),
        (None, r"row 1.*doesn't allow null"),
    ],
)
def test_a_value_that_the_schema_does_not_allow_is_refused(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        references(tmp_path, [{"out": '{"name": "x"}'}, {"out": value}], output_column="out", output_schema=PERSON)


@pytest.mark.parametrize("text", ["", "{", "NaN", "-Infinity", "[1,]", "{} {}", "[" * 100000, "9" * 5000, "'a'"])
def test_what_is_no_json_is_told_as_such(text: str) -> None:
    with pytest.raises(NotJsonError):
        parse_json(text)
    assert (OutputSchema({}).problem_of_text(text) or "").startswith("no JSON: ")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (True, 1, False),
        ([False], [0], False),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}, True),
        ("1", 1, False),
        (None, False, False),
        ([1, 2], [2, 1], False),
        (1e22, 10**22, True),
    ],
)
def test_values_are_compared_as_json_has_them(left: Any, right: Any, same: bool) -> None:
    assert same_value(left, right) == same


def test_real_slots_are_read_as_they_are_written(assets: Path) -> None:
    names = ["time", "people", "date", "first_name", "last_name"]
    value = config_value(dataset={"path": str(assets / "data" / "restaurant8k"), "task_type": "structured"})
    value["prompting"] = {"input_columns": ["text", "context"], "output_column": "json", "output_schema": names}
    data = load_task(config_from_value(value, "test"))
    lines = (assets / "data" / "restaurant8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    written = [json.loads(json.loads(line)["json"]) for line in lines]
    assert [json.loads(example.references[0]) for example in data.test] == written
    orders = [list(json.loads(example.references[0])) for example in data.test]
    assert all(order == sorted(order, key=names.index) for order in orders)
    assert max(map(len, orders)) >= 3

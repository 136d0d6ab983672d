"""What is refused of configs for structured answers."""

from __future__ import annotations

from typing import Any

import pytest

from sft.config.identity import run_id
from sft.config.load import config_from_value
from sft.config.output_schema import check_schema, unenforced_keywords
from sft.errors import ConfigError
from tests.fakes import config_value

FIELDS = ["a", "b"]


def structured(**changes: dict[str, Any]) -> dict[str, Any]:
    prompting = {"input_columns": ["text"], "output_column": "label", "output_schema": FIELDS}
    prompting |= changes.pop("prompting", {})
    value = config_value(dataset={"task_type": "structured", **changes.pop("dataset", {})}, **changes)
    value["prompting"] = {key: item for key, item in prompting.items() if item is not None}
    return value


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompting": {"output_schema": None}}, "prompting.output_schema: is missing"),
    ({"prompting": {"output_column": None}}, "prompting.output_column: is missing"),
    ({"prompting": {"output_columns": ["a"]}}, "prompting.output_column: is given together with"),
    ({"prompting": {"output_column": None, "output_columns": ["a", "z"]}}, "output_columns: 'z' is no property"),
    ({"prompting": {"output_column": None, "output_columns": ["a", "a"]}}, "output_columns: names a column twice"),
    (
        {"prompting": {"output_column": None, "output_columns": ["text"], "output_schema": ["text"]}},
        "input_columns: holds the output column 'text'",
    ),
    ({"prompting": {"output_schema": {"type": "objet"}}}, "output_schema['type']: is no JSON Schema"),
    ({"prompting": {"output_schema": {"$ref": "#/$defs/x"}}}, "'#/$defs/x' is no place in the schema"),
    ({"prompting": {"output_schema": {"$ref": "http://x.org/y"}}}, "'http://x.org/y' is no place in the schema"),
    ({"prompting": {"output_schema": {"type": "string", "pattern": "a.c"}}}, "pattern: constrained decoding can't"),
    ({"inference": {"generation_args": {"num_beams": 2}}}, "num_beams: doesn't go with constrained decoding"),
    ({"inference": {"generation_args": {"stop_strings": ["x"]}}}, "stop_strings: doesn't go with constrained"),
    ({"inference": {"generation_args": {"penalty_alpha": 0.5}}}, "penalty_alpha: doesn't go with constrained"),
    ({"inference": {"decoder": "continuous"}}, "inference.decoder: doesn't go with constrained decoding"),
    ({"training": {"select": {"grid": {"warmup_steps": [1, 2]}, "metric": "accuracy"}}}, "is for classification"),
    ({"dataset": {"labels": ["x"]}}, "dataset.labels: is for classification"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_wrong_config_is_refused_with_one_problem(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_value(structured(**changes), "x.json")
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "section", [{"prompting": {"output_schema": FIELDS}}, {"inference": {"constrained": True}}], ids=str
)
def test_keys_of_structured_answers_are_refused_elsewhere(section: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is for structured answers"):
        config_from_value(config_value(**section), "x.json")


def test_a_missing_output_column_is_told_with_other_problems() -> None:
    value = config_value(lora={"zzz": 1}, dataset={"shots": -1})
    del value["prompting"]["output_column"]
    with pytest.raises(ConfigError) as caught:
        config_from_value(value, "x.json")
    assert {problem.key for problem in caught.value.problems} >= {"prompting.output_column", "dataset.shots"}


def test_a_wrong_output_column_is_told_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_value(config_value(prompting={"output_column": 3}), "x.json")
    assert [problem.key for problem in caught.value.problems] == ["prompting.output_column"]


def test_without_constraint_every_json_schema_will_do() -> None:
    schema = {"type": "string", "pattern": "^a", "not": {"const": "ab"}}
    free = structured(prompting={"output_schema": schema}, inference={"constrained": False})
    assert not config_from_value(free, "x.json").is_constrained


def test_constrained_by_default_is_the_same_run_as_without_saying_so() -> None:
    ids = [
        run_id(config_from_value(structured(inference=inference), "x.json"), None, trains=False)
        for inference in ({}, {"constrained": None}, {"constrained": True}, {"constrained": False})
    ]
    assert ids[0] == ids[1] == ids[2] != ids[3]


UNENFORCED: list[tuple[dict[str, Any], str]] = [
    ({"type": "object", "patternProperties": {}}, "patternProperties"),
    ({"type": "array", "items": {"type": "array", "uniqueItems": True}}, "items.uniqueItems"),
    ({"oneOf": [{"type": "null"}]}, "oneOf"),
    ({"minimum": 3}, "minimum"),
    ({"properties": {"a": {}}}, "properties"),
    ({"anyOf": [{"type": "null"}], "type": "null"}, "anyOf"),
    ({"$defs": {"x": {}}, "$ref": "#/$defs/x", "minimum": 2, "type": "number"}, "$ref"),
    ({"enum": [{"a": 1}]}, "enum"),
    ({"type": "string", "enum": ["a", 1]}, "enum"),
    ({"type": "object", "required": ["a"]}, "required"),
    ({"type": "object", "properties": {"a": {}}, "additionalProperties": True}, "additionalProperties"),
    ({"$defs": {"x": {"type": "string", "format": "date"}}, "$ref": "#/$defs/x"}, "$defs.x.format"),
]


@pytest.mark.parametrize(("schema", "key"), UNENFORCED, ids=[key for _, key in UNENFORCED])
def test_what_a_grammar_cannot_promise_is_named(schema: dict[str, Any], key: str) -> None:
    assert not check_schema(schema)
    assert [problem.key for problem in unenforced_keywords(schema)] == [f"prompting.output_schema.{key}"]


def test_annotations_and_local_references_are_no_problem() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "t",
        "$defs": {"x": {"type": ["integer", "null"], "minimum": 1, "description": "d"}},
        "type": "object",
        "properties": {"pattern": {"$ref": "#/$defs/x"}, "enum": {"const": "a", "default": "a"}},
        "required": ["pattern"],
        "additionalProperties": False,
    }
    assert not check_schema(schema)
    assert not unenforced_keywords(schema)

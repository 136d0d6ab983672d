"""`prompting.output_schema`: its two forms, and what of it constrained decoding can enforce."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sft.errors import Problem

KEY = "prompting.output_schema"

_ANNOTATIONS = {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples"}
# Keyword → the types of value that it is about.
_OF_TYPES = {
    "properties": {"object"},
    "required": {"object"},
    "additionalProperties": {"object"},
    "items": {"array"},
    "prefixItems": {"array"},
    "minItems": {"array"},
    "maxItems": {"array"},
    "minLength": {"string"},
    "maxLength": {"string"},
    "minimum": {"integer", "number"},
    "maximum": {"integer", "number"},
    "exclusiveMinimum": {"integer", "number"},
    "exclusiveMaximum": {"integer", "number"},
}
_ALONE = ("anyOf", "$ref", "enum", "const")
_UNCONSTRAINED = "remove it, or set inference.constrained to false"


def as_json_schema(given: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """A list of field names stands for an object of these texts, each of which may be absent."""
    if isinstance(given, Mapping):
        return dict(given)
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in given},
        "additionalProperties": False,
    }


def check_schema(schema: Mapping[str, Any]) -> list[Problem]:
    """What makes it no JSON Schema, or one that isn't complete in itself."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        place = "".join(f"[{part!r}]" for part in error.absolute_path)
        return [Problem(KEY + place, f"is no JSON Schema: {error.message}", "see json-schema.org, draft 2020-12")]
    problems = []
    for node in _nodes(schema, KEY):
        target = node.schema.get("$ref")
        if isinstance(target, str) and resolved(schema, target) is None:
            what = f"{target!r} is no place in the schema itself"
            problems.append(Problem(f"{node.key}.$ref", what, 'write "#/$defs/name" and define it under $defs'))
    return problems


def unenforced_keywords(schema: Mapping[str, Any]) -> list[Problem]:
    """What of a valid schema no grammar can promise, or xgrammar's doesn't: texts that break it would come out."""
    return [problem for node in _nodes(schema, KEY) for problem in _unenforced(node)]


def resolved(schema: Mapping[str, Any], target: str) -> Any:
    """What a `$ref` of the schema points at; None where there is nothing."""
    found: Any = schema
    if not target.startswith("#"):
        return None
    for part in target[1:].split("/")[1:]:
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


class _Node(NamedTuple):
    key: str
    schema: Mapping[str, Any]


def _nodes(schema: Any, key: str) -> Iterator[_Node]:
    """The schema and all schemas in it."""
    if not isinstance(schema, Mapping):
        return
    yield _Node(key, schema)
    for keyword in ("properties", "$defs", "definitions"):
        for name, inner in schema.get(keyword, {}).items():
            yield from _nodes(inner, f"{key}.{keyword}.{name}")
    for keyword in ("items", "additionalProperties"):
        yield from _nodes(schema.get(keyword), f"{key}.{keyword}")
    for keyword in ("anyOf", "prefixItems"):
        for i, inner in enumerate(schema.get(keyword, [])):
            yield from _nodes(inner, f"{key}.{keyword}[{i}]")


def _unenforced(node: _Node) -> list[Problem]:
    schema = node.schema
    known = _ANNOTATIONS | _OF_TYPES.keys() | {"type", *_ALONE}
    problems = [
        Problem(f"{node.key}.{keyword}", "constrained decoding can't enforce this keyword", _UNCONSTRAINED)
        for keyword in schema
        if keyword not in known
    ]
    types = schema.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    for keyword in schema.keys() & _OF_TYPES.keys():
        if not types & _OF_TYPES[keyword]:
            wanted = " or ".join(sorted(_OF_TYPES[keyword]))
            fix = f'add "type": "{wanted}"' if not types else "remove it, or add the type"
            problems.append(Problem(f"{node.key}.{keyword}", f"is about the type {wanted}, which isn't given", fix))
    for alone in schema.keys() & set(_ALONE):
        beside = sorted(schema.keys() - _ANNOTATIONS - {alone, "type" if alone in ("enum", "const") else alone})
        if beside:
            what = f"stands beside {', '.join(beside)}, of which constrained decoding would enforce one only"
            problems.append(Problem(f"{node.key}.{alone}", what, _UNCONSTRAINED))
    return [*problems, *_unenforced_values(node, types), *_unenforced_properties(node)]


def _unenforced_values(node: _Node, types: set[str]) -> list[Problem]:
    """enum and const: plain values, and of the type that is given."""
    from jsonschema import Draft202012Validator

    problems = []
    of_type = Draft202012Validator({"type": sorted(types)} if types else {})
    for keyword in node.schema.keys() & {"enum", "const"}:
        values = node.schema["enum"] if keyword == "enum" else [node.schema["const"]]
        for value in values:
            if isinstance(value, (dict, list)):
                what = f"holds {value!r}: constrained decoding takes texts, numbers, true, false and null"
                problems.append(Problem(f"{node.key}.{keyword}", what, "describe it with properties or items"))
            elif not of_type.is_valid(value):
                what = f"holds {value!r}, which isn't of the type that is given beside it"
                problems.append(Problem(f"{node.key}.{keyword}", what, "mend one of them"))
    return problems


def _unenforced_properties(node: _Node) -> list[Problem]:
    properties = node.schema.get("properties", {})
    problems = [
        Problem(f"{node.key}.required", f"names {name!r}, which is none of the properties", "add it to properties")
        for name in node.schema.get("required", [])
        if name not in properties
    ]
    if properties and node.schema.get("additionalProperties", False) is not False:
        what = "stands beside properties: constrained decoding writes no others than those"
        problems.append(Problem(f"{node.key}.additionalProperties", what, "set it to false"))
    return problems

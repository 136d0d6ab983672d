"""JSON values that a schema describes: read, judged, and written in one form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sft.config.output_schema import resolved


class NotJsonError(ValueError):
    """A text isn't one JSON value."""


def parse_json(text: str) -> Any:
    """The value that a text is. Raises `NotJsonError`, also for NaN and Infinity, which Python would read as numbers,
    and for nesting or numbers beyond what Python reads.
    """

    def refuse(name: str) -> None:
        raise NotJsonError(f"{name} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except NotJsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error)) from error


def same_value(left: Any, right: Any) -> bool:
    """Equality of JSON values: `true` is not 1, 1.0 is 1, keys have no order."""
    return comparable(left) == comparable(right)


def comparable(value: Any) -> str:
    """One text for all JSON values that are the same."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


class OutputSchema:
    """A JSON Schema that answers follow. schema: draft 2020-12, complete in itself."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def problem(self, value: Any) -> str | None:
        """Why the schema doesn't allow the value: the first reason, with its place; None where it does."""
        return self._problem(value, self.schema)

    def problem_of_text(self, text: str) -> str | None:
        """The same for a text, which may be no JSON at all."""
        try:
            return self.problem(parse_json(text))
        except NotJsonError as error:
            return f"no JSON: {error}"

    def canonical(self, value: Any) -> str:
        """The one text for a value: keys in the schema's order (others after them, sorted), ", " and ": " between
        items, characters as they are. It is the form that constrained decoding writes.
        """
        return json.dumps(self._ordered(value, self.schema), ensure_ascii=False)

    def without_absent(self, value: Any, schema: Any = None) -> Any:
        """The value without nulls that the schema (or one inside it) neither allows nor requires to be there.

        Data sets give every row all keys that any row has, and null where a row has none.
        """
        schema = self.schema if schema is None else schema
        if isinstance(schema, Mapping) and "anyOf" in schema:
            tried = [(self.without_absent(value, branch), branch) for branch in schema["anyOf"]]
            return next((made for made, branch in tried if self.allows(made, branch)), value)
        schema = self._branch(value, schema)
        if isinstance(value, list):
            inner = schema.get("items", {}) if isinstance(schema, Mapping) else {}
            return [self.without_absent(item, inner) for item in value]
        if not isinstance(value, dict):
            return value
        properties = self._properties(schema)
        made = {name: self.without_absent(item, properties.get(name, {})) for name, item in value.items()}
        return self.without_absent_keys(made, schema)

    def without_absent_keys(self, value: dict[str, Any], schema: Any = None) -> dict[str, Any]:
        """The same for the outermost keys alone."""
        schema = self.schema if schema is None else schema
        properties = self._properties(schema)
        required = schema.get("required", []) if isinstance(schema, Mapping) else []
        return {
            name: item
            for name, item in value.items()
            if item is not None or name in required or (name in properties and self.allows(None, properties[name]))
        }

    def of_property(self, name: str) -> Any:
        """The schema of a property of the outermost object; {} for an unknown one."""
        return self._properties(self.schema).get(name, {})

    def allows(self, value: Any, schema: Any) -> bool:
        """schema: one inside this one."""
        return self._problem(value, schema) is None

    def _ordered(self, value: Any, schema: Any) -> Any:
        schema = self._branch(value, schema)
        if isinstance(value, list):
            inner = schema.get("items", {}) if isinstance(schema, Mapping) else {}
            first = schema.get("prefixItems", []) if isinstance(schema, Mapping) else []
            return [self._ordered(item, first[i] if i < len(first) else inner) for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        properties = self._properties(schema)
        order = [name for name in properties if name in value]
        order += sorted(value.keys() - properties.keys())
        return {name: self._ordered(value[name], properties.get(name, {})) for name in order}

    def _branch(self, value: Any, schema: Any) -> Any:
        """The schema behind references, and of alternatives the first that allows the value."""
        while isinstance(schema, Mapping):
            if "$ref" in schema:
                schema = resolved(self.schema, schema["$ref"])
            elif "anyOf" in schema:
                fitting = (branch for branch in schema["anyOf"] if self.allows(value, branch))
                schema = next(fitting, schema["anyOf"][0])
            else:
                break
        return schema

    def _properties(self, schema: Any) -> Mapping[str, Any]:
        schema = self._branch(None, schema)
        properties: Mapping[str, Any] = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
        return properties

    def _problem(self, value: Any, schema: Any) -> str | None:
        from jsonschema.exceptions import best_match

        error = best_match(self._validator.evolve(schema=schema).iter_errors(value))
        if error is None:
            return None
        return f"{error.json_path}: {error.message}"

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import validator_for

        return validator_for(self.schema, default=Draft202012Validator)(self.schema)

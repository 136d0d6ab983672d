"""Pydantic's validation errors in the words of a config file."""

from __future__ import annotations

import json
import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from sft.config.schema import ExperimentConfig
from sft.errors import Problem
from sft.registry import unknown_name_fix


def problems_of(error: ValidationError, value: dict[str, Any]) -> list[Problem]:
    """One problem per key; the alternatives of a union are folded into the message of that key.

    Where one alternative got further into the value than the others (a list with a wrong item, not a wrong type
    altogether), only its problem is told.
    """
    by_key: dict[str, list[Any]] = {}
    for detail in error.errors():
        by_key.setdefault(_key(detail["loc"], value), []).append(detail)
    inside = {key for key in by_key if any(other.startswith((f"{key}.", f"{key}[")) for other in by_key)}
    return [_problem(key, details) for key, details in by_key.items() if key not in inside]


def _problem(key: str, details: list[Any]) -> Problem:
    first = details[0]
    if first["type"] == "extra_forbidden":
        return Problem(key, "unknown key", _unknown_key_fix(key))
    if first["type"] == "missing":
        return Problem(key, "is missing", "add it")
    given = _shown(first["input"])
    return Problem(key, f"got {given}: " + "; or ".join(dict.fromkeys(_expectation(d) for d in details)))


def _expectation(detail: Any) -> str:
    context = detail.get("ctx", {})
    kind = detail["type"]
    bounds = {"greater_than_equal": ("must be >= {ge}"), "greater_than": "must be > {gt}"}
    if kind in bounds:
        return bounds[kind].format(**context)
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "too_short":
        return f"needs at least {context['min_length']} item"
    expected = {
        "int_type": "must be an integer",
        "int_from_float": "must be an integer",
        "float_type": "must be a number",
        "string_type": "must be a text",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be an object",
        "model_type": "must be an object",
    }
    return expected.get(kind, str(detail["msg"]))


def _key(location: tuple[str | int, ...], value: Any) -> str:
    """The dotted key of a location, without the names of union branches that pydantic puts into it."""
    key = ""
    for part in location:
        if isinstance(part, int) and isinstance(value, list):
            key, value = f"{key}[{part}]", value[part] if part < len(value) else None
        elif isinstance(value, dict) and isinstance(part, str) and (part in value or not _is_branch(part)):
            key, value = f"{key}.{part}" if key else part, value.get(part)
    return key


def _is_branch(part: str) -> bool:
    """Whether a location part is the name of a union branch (`list[str]`, `constrained-int`) rather than a key."""
    return part in ("str", "int") or not part.replace("_", "").isalnum()


def _unknown_key_fix(key: str) -> str:
    *parents, name = key.split(".")
    elsewhere = [path for path in _all_keys(ExperimentConfig) if path.split(".")[-1] == name]
    if elsewhere:
        return f"did you mean {elsewhere[0]!r}?"
    model: type[BaseModel] | None = ExperimentConfig
    for parent in parents:
        field = model.model_fields.get(parent) if model else None
        model = _section(field.annotation) if field else None
    return unknown_name_fix(name, model.model_fields if model else ())


def _all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        section = _section(field.annotation)
        if section is not None:
            keys += _all_keys(section, f"{prefix}{name}.")
    return keys


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section class in an annotation such as `TrainingConfig | None`."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return next((s for s in map(_section, typing.get_args(annotation)) if s is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."

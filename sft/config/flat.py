"""Nested values under dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` → `{"a.b": 1}`; an empty object leaves nothing."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    nested = (flat(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items())
    return {key: item for part in nested for key, item in part.items()}

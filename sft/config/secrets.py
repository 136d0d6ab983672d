"""Access tokens in a config: loading models and data may need them, and nobody else is to have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = frozenset({"token", "hub_token", "push_to_hub_token", "use_auth_token", "password", "secret"})
_HOLDERS = frozenset({("model", "model_args"), ("dataset", "args"), ("training", "trainer_args")})
"""Sections and their keys, of which values are handed on to libraries."""


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config, less those that are secret. A label or a metric's argument may be called `token`."""
    return {name: _section(name, value) for name, value in config.items()}


def public_args(args: Mapping[str, Any]) -> dict[str, Any]:
    """Likewise, of arguments such as `model.model_args`, at any depth."""
    return {name: _public(value) for name, value in args.items() if name not in _NAMES}


def _section(section: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: _public(item) if (section, key) in _HOLDERS else item for key, item in value.items()}


def _public(value: Any) -> Any:
    return public_args(value) if isinstance(value, Mapping) else value

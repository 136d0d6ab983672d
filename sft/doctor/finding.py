"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sft.errors import SftError

Level = Literal["error", "warn", "skipped", "ok"]
LEVELS: tuple[Level, ...] = ("error", "warn", "skipped", "ok")
"""The worst first. `skipped`: not looked at, which says nothing for or against the run."""


@dataclass(frozen=True)
class Finding:
    """message: what is so. fix: what to do about it. details: numbers behind it, for JSON.

    check: who found it, which is filled in by whoever runs the check.
    """

    level: Level
    message: str
    fix: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    check: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {key: asdict(self)[key] for key in ("check", "level", "message", "fix", "details")}


def ok(message: str, **details: Any) -> Finding:
    return Finding("ok", message, None, details)


def warn(message: str, fix: str, **details: Any) -> Finding:
    """The run would go through, and may not be what is wanted."""
    return Finding("warn", message, fix, details)


def error(message: str, fix: str | None, **details: Any) -> Finding:
    """The run would fail, or its results would be worth nothing."""
    return Finding("error", message, fix, details)


def skipped(message: str) -> Finding:
    return Finding("skipped", message)


def of_error(problem: SftError) -> Finding:
    return error(problem.message, problem.hint)

"""Diagnoses of tiny runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sft.doctor import Diagnosis, Finding, Setting, diagnose
from tests.tiny_runs import tiny_run


def diagnosed(folder: Path, setting: Setting | None = None, **run: Any) -> Diagnosis:
    """Of a run in `folder`. run: as for `tiny_run`."""
    return diagnose(tiny_run(folder, **run), setting)


def the_one(diagnosis: Diagnosis, check: str, level: str) -> Finding:
    """The only finding of a check that has this level."""
    found = [each for each in diagnosis.of(check) if each.level == level]
    assert len(found) == 1, diagnosis.of(check)
    return found[0]


def levels(diagnosis: Diagnosis, check: str) -> set[str]:
    return {each.level for each in diagnosis.of(check)}

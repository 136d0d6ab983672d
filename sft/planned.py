"""What a sweep set out to run, kept in its results folder, so that a table can say what is missing.

`<results path>/plans/<digest>.json`, one file per list of runs: two schedulers of one sweep write the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sft.errors import SftError
from sft.records import write_json

PLANS = "plans"


class Planned(NamedTuple):
    """A run that a sweep asked for. plan_id: as in its record. config: with all defaults filled in."""

    name: str
    plan_id: str
    config: dict[str, Any]


def write_plan(results_path: Path, runs: Sequence[Planned]) -> Path:
    digest = hashlib.sha256("\n".join(sorted(run.plan_id for run in runs)).encode()).hexdigest()[:12]
    path = results_path / PLANS / f"{digest}.json"
    write_json(path, {"runs": [run._asdict() for run in runs]})
    return path


def read_plans(results_path: Path) -> list[Planned]:
    """All runs that sweeps into this folder asked for, each plan id once; none for folders without plans."""
    found: dict[str, Planned] = {}
    for path in sorted((results_path / PLANS).glob("*.json")):
        try:
            runs = [Planned(**run) for run in json.loads(path.read_text(encoding="utf-8"))["runs"]]
        except (ValueError, TypeError, KeyError) as error:
            raise SftError(f"{path}: not the plan of a sweep: {error!r}", "remove the file") from error
        found |= {run.plan_id: run for run in runs}
    return list(found.values())

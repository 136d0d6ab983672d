"""How a run of a sweep ended."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sft.records import RunRecord


class RunOutcome(NamedTuple):
    """Its record, completed or failed, is in `folder`. was_there: an earlier sweep left it."""

    name: str
    record: RunRecord
    folder: Path
    was_there: bool = False

"""What a launcher is: it takes planned runs and says, as they end, where each left its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sft.experiments.plan import PlannedRun
from sft.records import RunRecord
from sft.registry import Registry


class RunOutcome(NamedTuple):
    """How a run ended. Its record, completed or failed, is in `folder`."""

    name: str
    record: RunRecord
    folder: Path


class Launcher(Protocol):
    """Runs everything, one outcome per run in the order of ending; a failed run doesn't stop the others."""

    def __call__(self, runs: Sequence[PlannedRun], results_path: Path) -> Iterator[RunOutcome]: ...


launcher_registry: Registry[Launcher] = Registry("launcher")

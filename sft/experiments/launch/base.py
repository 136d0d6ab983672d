"""What a launcher is: it takes tasks and says, as their runs end, where each left its record."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from sft.experiments.live import Live
from sft.experiments.outcome import RunOutcome
from sft.experiments.protocol import Settings
from sft.experiments.queue import QueuedTask
from sft.registry import Registry


@dataclass(frozen=True)
class LaunchOptions:
    """isolation: `worker`: a process does many tasks, with one loaded model; `process`: every task has its own.

    workers: how many processes at a time; None: one for each group of devices that a run needs. live: is told what
    happens.
    """

    settings: Settings
    isolation: Literal["worker", "process"] = "worker"
    workers: int | None = None
    live: Live = field(default_factory=Live)

    @property
    def results_path(self) -> Path:
        return Path(self.settings.results_path)


class Launcher(Protocol):
    """Does every task, one outcome per run in the order of ending; a failed run doesn't stop the others.

    Closed early (by an interrupt), it gives running workers time to save what they can.
    """

    def __call__(self, tasks: Sequence[QueuedTask], options: LaunchOptions) -> Generator[RunOutcome]: ...


launcher_registry: Registry[Launcher] = Registry("launcher")

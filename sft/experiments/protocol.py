"""What schedulers and workers tell one another, in plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sft.config.load import config_from_value
from sft.experiments.plan import PlannedRun
from sft.records import RunRecord

Status = Literal["completed", "failed", "busy", "out of memory"]


class Ended(NamedTuple):
    """How a run ended. folder: that holds, or (busy) will hold, its record.

    busy: somebody else works on it. out of memory: it may fit with smaller batches; there is no record yet.
    """

    name: str
    status: Status
    folder: str
    error: str | None = None


@dataclass(frozen=True)
class Settings:
    """What all runs of a sweep have in common.

    began: when the sweep did (as in records): a run that failed since then isn't tried again. force: do again what is
    complete. owner: who claims the runs, where somebody may have to release the claims of a dead worker.
    """

    results_path: str
    began: str
    keep_adapters: bool = False
    force: bool = False
    owner: str | None = None

    def has_ended(self, record: RunRecord) -> bool:
        """Whether another scheduler has left nothing to do of a run."""
        return record.status == "completed" or record.finished_at >= self.began


class TaskValue(NamedTuple):
    """A task as it travels: `Task` in plain values.

    answers: the folder of a complete run that gave the same answers. smaller: see `RunOptions`.
    """

    names: list[str]
    configs: list[dict[str, Any]]
    plan_ids: list[str]
    answers: str | None = None
    smaller: int = 1

    def runs(self) -> list[PlannedRun]:
        return [
            PlannedRun(name, config_from_value(config, name), plan_id)
            for name, config, plan_id in zip(self.names, self.configs, self.plan_ids, strict=True)
        ]

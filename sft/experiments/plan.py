"""What a sweep will do, decided before anything runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.pipeline.canonical import plan_id
from sft.pipeline.conclude import scores_shots
from sft.pipeline.derive import answers_key, scoring_shots

logger = logging.getLogger(__name__)

_NAMED_AT_MOST = 3


class PlannedRun(NamedTuple):
    """plan_id: what identifies the run before its data is read."""

    name: str
    config: ExperimentConfig
    plan_id: str


class Task(NamedTuple):
    """Runs whose models give the same answers: the first makes them, the others start from them.

    model: the same for tasks that can use one loaded model.
    """

    runs: tuple[PlannedRun, ...]
    model: str


def plan(configs: Sequence[NamedConfig]) -> list[PlannedRun]:
    """The runs of a sweep: identical configs once, and no two that write their adapters to the same folder."""
    by_identity: dict[str, PlannedRun] = {}
    by_output: dict[Path, str] = {}
    same: list[str] = []
    for name, config in configs:
        run = PlannedRun(name, config, plan_id(config))
        if run.plan_id in by_identity:
            same.append(f"{name} ({by_identity[run.plan_id].name})")
            continue
        by_identity[run.plan_id] = run
        output = config.training.trainer_args.get("output_dir") if config.training else None
        if output is not None and config.has_shots:
            folder = Path(output).expanduser().resolve()
            if folder in by_output:
                raise SftError(
                    f"the configs {by_output[folder]} and {name} both write their adapter to {output!r}",
                    "make training.trainer_args.output_dir different, or remove it to keep no adapters",
                )
            by_output[folder] = name
    if same:
        more = f" and {len(same) - _NAMED_AT_MOST} more" if len(same) > _NAMED_AT_MOST else ""
        logger.warning(
            "%d of %d configs describe the same run as another (in brackets), which runs once: %s%s",
            len(same), len(configs), ", ".join(same[:_NAMED_AT_MOST]), more,
        )  # fmt: skip
    return list(by_identity.values())


def tasks_of(runs: Sequence[PlannedRun]) -> list[Task]:
    """The runs, grouped by what they share; in the order of the first of each group."""
    groups: dict[tuple[str, object], list[PlannedRun]] = {}
    free: dict[str, list[PlannedRun]] = {}
    for run in runs:
        key = answers_key(run.config)
        if key.beside is None:
            free.setdefault(key.answers, []).append(run)
        else:
            groups.setdefault(key, []).append(run)
    for answers, members in free.items():
        home = next((key for key in groups if key[0] == answers), (answers, None))
        groups.setdefault(home, []).extend(members)
    order = {run.plan_id: i for i, run in enumerate(runs)}
    found = [_task(members) for members in groups.values()]
    return sorted(found, key=lambda task: min(order[run.plan_id] for run in task.runs))


def _task(members: list[PlannedRun]) -> Task:
    """The first has what a calibration reads in its own config, and stores scores of the shots where any run needs
    them.
    """
    first, *others = members
    if any(scores_shots(run.config.inference_or_default) for run in others):
        first = first._replace(config=scoring_shots(first.config))
    return Task((first, *others), first.config.model.model_dump_json())

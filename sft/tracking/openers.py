"""How accelerate's classes are told which run of which project they are for: each has its own way to say it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sft.registry import Registry


class TrackedRun(NamedTuple):
    """project: what its trackers file it under. name: of the run. folder: for trackers that write files."""

    project: str
    name: str
    folder: Path


Opener = Callable[[Any, TrackedRun], Any]
"""Makes the tracker of a class; it isn't started."""

opener_registry: Registry[Opener] = Registry("tracker")


def opened(name: str, run: TrackedRun) -> Any:
    """A tracker of accelerate's, by its name. One without an opener is made as accelerate makes it."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    cls: Any = LOGGER_TYPE_TO_CLASS[name]
    return opener_registry[name](cls, run) if name in opener_registry else _by_project(cls, run)


def _by_project(cls: Any, run: TrackedRun) -> Any:
    return cls(run.project, str(run.folder)) if cls.requires_logging_directory else cls(run.project)


@opener_registry.register("tensorboard")
def _tensorboard(cls: Any, run: TrackedRun) -> Any:
    """In the run's folder, or where transformers' own variable says, a folder for each run."""
    folder = os.environ.get("TENSORBOARD_LOGGING_DIR")
    if folder is None:
        return cls("tensorboard", str(run.folder))
    return cls(run.folder.name, str(Path(folder).expanduser()))


@opener_registry.register("wandb")
def _wandb(cls: Any, run: TrackedRun) -> Any:
    project = os.environ.get("WANDB_PROJECT", run.project)
    return cls(project, name=run.name, dir=str(run.folder), reinit="finish_previous")


@opener_registry.register("mlflow")
def _mlflow(cls: Any, run: TrackedRun) -> Any:
    return cls(run.project, run_name=run.name)


@opener_registry.register("aim")
def _aim(cls: Any, run: TrackedRun) -> Any:
    return cls(run.name, str(run.folder.parent), experiment=run.project)


@opener_registry.register("clearml")
def _clearml(cls: Any, run: TrackedRun) -> Any:
    return cls(run.project, task_name=run.name)


@opener_registry.register("dvclive")
def _dvclive(cls: Any, run: TrackedRun) -> Any:
    return cls(run.name, dir=str(run.folder / "dvclive"))


@opener_registry.register("swanlab")
def _swanlab(cls: Any, run: TrackedRun) -> Any:
    return cls(run.project, experiment_name=run.name)


@opener_registry.register("trackio")
def _trackio(cls: Any, run: TrackedRun) -> Any:
    return cls(run.project, name=run.name)

"""The trackers of one run, open from its start to its metrics, so that both are in one place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from sft.config.schema import ExperimentConfig
from sft.distributed import is_main
from sft.errors import SftError
from sft.records import RunRecord
from sft.tracking.asked import KEY, trackers_asked
from sft.tracking.openers import TrackedRun, opened
from sft.tracking.values import finite, numbers, settings

logger = logging.getLogger(__name__)

_PROJECT = "sft"


class Trackers:
    """A context manager: none, or all that the config asks for. Of several processes, the first tells them.

    folder: of the run. name: of the run in a sweep. Raises `SftError` for a tracker that isn't installed or can't be
    started. One that fails later is told nothing more, with a warning: no run is lost for it.
    """

    def __init__(self, config: ExperimentConfig, run_id: str, folder: Path, name: str | None = None) -> None:
        self._names = trackers_asked(config).ours
        self._settings = settings(run_id, config.model_dump(mode="json"))
        args = config.training.trainer_args if config.training else {}
        self._run = TrackedRun(args.get("project") or _PROJECT, args.get("run_name") or name or folder.name, folder)
        self._open: dict[str, Any] = {}

    def __enter__(self) -> Trackers:
        if self._names and is_main():
            from accelerate import PartialState

            PartialState()  # accelerate's trackers write to its log, which wants to know which process this is
            try:
                for name in self._names:
                    self._open[name] = _started(name, self._run)
            except SftError:
                self._finish()
                raise
            self._tell(lambda tracker: tracker.store_init_configuration(self._settings))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish()

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Numbers after so many training steps."""
        self._tell(lambda tracker: tracker.log(finite(values), step=step))

    def conclude(self, record: RunRecord) -> None:
        """The numbers of a finished run."""
        self.log(numbers(record), int((record.training or {}).get("steps", 0)))

    def callbacks(self) -> Sequence[Any]:
        """For the trainer: what it logs, the trackers are told as `train/…`."""
        return [_callback(self)] if self._open else []

    def _finish(self) -> None:
        self._tell(lambda tracker: tracker.finish())
        self._open.clear()

    def _tell(self, what: Callable[[Any], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                what(tracker)
            except Exception as error:  # a service far away may fail in any way
                del self._open[name]
                logger.warning("the tracker %r is told nothing more: %s: %s", name, type(error).__name__, error)


def _started(name: str, run: TrackedRun) -> Any:
    try:
        tracker = opened(name, run)
        tracker.start()
    except Exception as error:
        raise SftError(
            f"{KEY}: {name!r} can't be started: {type(error).__name__}: {error}",
            f"mend what it says (log in? set its variables?), or take {name!r} out",
        ) from error
    return tracker


def _callback(trackers: Trackers) -> Any:
    from transformers import TrainerCallback

    class Callback(TrainerCallback):  # type: ignore[misc]  # of no type here
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            trackers.log({f"train/{name}": value for name, value in (logs or {}).items()}, state.global_step)

    return Callback()

"""The folder of a run while it is being made: its log, its warnings, its timings."""

from __future__ import annotations

import contextlib
import datetime
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sft.distributed import is_main, on_main
from sft.errors import SftError
from sft.logs import WarningCollector
from sft.records import LOG_FILE


class RunLog:
    """Collects what a record says of the course of a run: stage timings in seconds, and warnings.

    on_stage: called with the name of each stage that begins.
    """

    def __init__(self) -> None:
        self.on_stage: Callable[[str], None] = lambda stage: None
        self.timings: dict[str, float] = {}
        self.warnings: list[str] = []
        self.started_at = now()
        self._start = time.perf_counter()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.on_stage(name)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - started

    @contextlib.contextmanager
    def apart(self) -> Iterator[list[str]]:
        """Like `overheard`, and the warnings are taken out of `warnings`."""
        before = len(self.warnings)
        with self.overheard() as warnings:
            yield warnings
        del self.warnings[before:]

    @contextlib.contextmanager
    def overheard(self) -> Iterator[list[str]]:
        """The warnings of what happens in here, which stay in `warnings` too; filled at the end."""
        warnings: list[str] = []
        before = len(self.warnings)
        yield warnings
        warnings += self.warnings[before:]

    def finish(self) -> None:
        self.timings["total"] = time.perf_counter() - self._start


@contextlib.contextmanager
def recording(log: RunLog, folder: Path | None = None) -> Iterator[None]:
    """Collect warnings of `sft` into `log`, and all its messages into the folder's `run.log` where one is given.

    Of several processes, the first writes that file.
    """
    handlers: list[logging.Handler] = [WarningCollector(log.warnings)]
    if folder is not None and is_main():
        file = logging.FileHandler(folder / LOG_FILE, mode="w", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    logger = logging.getLogger("sft")
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def make_folder(path: Path, what: str) -> Path:
    """Create a folder, or say why not, before anything expensive is done."""
    on_main(lambda: _make_folder(path, what))
    return path


def _make_folder(path: Path, what: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)  # another run may be probing the same folder
    except OSError as error:
        raise SftError(
            f"{what}: can't write into {str(path)!r}: {error.strerror or error}", "name another folder"
        ) from error


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

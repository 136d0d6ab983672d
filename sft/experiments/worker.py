"""A process that does a sweep's runs, one after another: `python -m sft.experiments.worker`.

It reads lines of JSON from its standard input, first settings, then one task at a time, and writes lines of JSON to its
standard output: stages, ends of runs, and `finished` when it could take the next task. What a run prints goes to its
log. The end of its input means that whoever asks for the runs wants no more, or is gone: it then stops, after saving
what it can.
"""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, TextIO

from sft.experiments.execute import Executor
from sft.experiments.logs import log_path
from sft.experiments.protocol import Settings, TaskValue
from sft.logs import configure_logging
from sft.plugins import import_modules, load_entry_points
from sft.stopping import install

_SECONDS_TO_SAVE = 60.0
_SECONDS_TO_LEAVE = 10.0


def main() -> int:
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, lines), daemon=True).start()
    install()
    first = lines.get()
    if first is None:
        return 0
    value = json.loads(first)
    settings = Settings(**value["settings"])
    results_path = Path(settings.results_path)
    _redirect(log_path(results_path, value["worker"]))
    load_entry_points()
    import_modules(value["imports"])
    _import_libraries()
    executor = Executor(settings, _Telling(events, results_path))
    while (line := lines.get()) is not None:
        for ended in executor.run(TaskValue(**json.loads(line))):
            _tell(events, event="ended", **ended._asdict())
        if executor.unfit is not None:
            _tell(events, event="retires", reason=executor.unfit)
            return 0
        _tell(events, event="finished")
    return 0


def _import_libraries() -> None:
    """Import what runs need, and take it out of the garbage collector's sight: it would look through all of it again
    after every run, for longer than the run's own leftovers take.
    """
    import datasets  # noqa: F401
    import peft  # noqa: F401
    from trl import SFTConfig, SFTTrainer  # noqa: F401

    gc.collect()
    gc.freeze()


class _Telling:
    """What the executor tells goes on to whoever reads the events."""

    def __init__(self, events: TextIO, results_path: Path) -> None:
        self._events, self._results_path = events, results_path

    def begins(self, run: str) -> None:
        _redirect(log_path(self._results_path, run))
        configure_logging(logging.INFO)
        _tell(self._events, event="begins", run=run)

    def stage(self, run: str, stage: str) -> None:
        _tell(self._events, event="stage", run=run, stage=stage)


def _tell(events: TextIO, **values: Any) -> None:
    events.write(json.dumps(values) + "\n")


def _read(source: TextIO, lines: queue.SimpleQueue[str | None]) -> None:
    """Pass lines on. At the end: the main thread is interrupted as by SIGTERM, and has some time to save."""
    for line in source:
        lines.put(line)
    lines.put(None)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_SAVE)
    os._exit(1)


def _redirect(log: Path) -> None:
    """Standard output and error of this process, C libraries' included, go to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _leave(code: int) -> NoReturn:
    """End the process without taking the interpreter and its libraries apart, for which the end of a sweep would wait.

    What asked to be called at the end, as trackers do, is called, and has some time.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    late = threading.Timer(_SECONDS_TO_LEAVE, os._exit, [code])
    late.daemon = True
    late.start()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    _leave(code)

"""What runs on a machine of a cluster for a launcher elsewhere: a worker process, and its results' way back."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sft import __version__
from sft.experiments.logs import log_path, tail
from sft.experiments.parcels import pack, unpack
from sft.experiments.process import let_end, send, start_worker
from sft.experiments.protocol import Settings

SECONDS_TO_SAVE = 60.0


@dataclass(frozen=True)
class Brought:
    """What a worker gets from the launcher's process.

    probe: a file in the results folder, which is there where that folder is shared. folder: the working directory.
    path: of Python. environment: variables. one_task: a new process for every task.
    """

    settings: Settings
    name: str
    imports: list[str]
    probe: str
    folder: str
    path: list[str]
    environment: dict[str, str]
    one_task: bool = False


class Place(NamedTuple):
    """Where a worker is. shared: it writes into the results folder itself. version: of sft."""

    host: str
    shared: bool
    version: str


class RemoteWorker:
    """Does tasks in a process of its own, which keeps a loaded model from one to the next.

    Methods may be called from several threads: `stop` and `fetch` during `run`. When this object's process is killed,
    the worker's process notices and stops, after saving what it can.
    """

    def __init__(self, brought: Brought) -> None:
        self._brought = brought
        self._settings = brought.settings
        self._process: subprocess.Popen[str] | None = None
        self._own: Path | None = None

    def ready(self) -> Place:
        """Find the results folder, or make one here."""
        probe = Path(self._brought.probe)
        shared = probe.is_file() and os.access(probe.parent, os.W_OK)
        if not shared:
            self._own = Path(tempfile.mkdtemp(prefix="sft-"))
            self._settings = dataclasses.replace(self._settings, results_path=str(self._own))
        if Path(self._brought.folder).is_dir():
            os.chdir(self._brought.folder)
        return Place(os.uname().nodename, shared, __version__)

    def run(self, task: dict[str, Any], answers: bytes | None) -> Iterator[dict[str, Any]]:
        """What the worker's process tells of a task, a `TaskValue` in plain values; last `finished`, `retires`, or
        `died` with exit code and the end of the log.

        answers: an archive of the folder that `task` names, where folders aren't shared.
        """
        self._forget_results()
        if answers is not None:
            unpack(io.BytesIO(answers), self._results)
            task = {**task, "answers": str(self._results / Path(task["answers"]).name)}
        if self._process is None:
            self._process = start_worker(self._settings, self._brought.name, self._brought.imports, self._environment())
        process, run = self._process, task["names"][0]
        send(process, task)
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            run = event.get("run", run)
            last = event["event"] in ("finished", "retires")
            if event["event"] == "retires" or (last and self._brought.one_task):
                self._process = None
                let_end(process)
            yield event
            if last:
                return
        self._process = None
        yield {"event": "died", "code": process.wait(), "log": tail(log_path(self._results, run))}

    def fetch(self, folder: str, run: str) -> Iterator[bytes]:
        """An archive of a run's folder, and of what the run printed."""
        names = [Path(folder).name, str(log_path(self._results, run).relative_to(self._results))]
        yield from pack(self._results, [name for name in names if (self._results / name).exists()])

    def stop(self) -> None:
        """End the process, which saves what it can."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(SECONDS_TO_SAVE)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)

    @property
    def _results(self) -> Path:
        return Path(self._settings.results_path)

    def _environment(self) -> dict[str, str]:
        path = [*self._brought.path, *filter(None, sys.path)]
        return {**os.environ, **self._brought.environment, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}

    def _forget_results(self) -> None:
        """Of tasks whose results were fetched."""
        if self._own is not None:
            for path in self._own.iterdir():
                if path.name != "logs":
                    shutil.rmtree(path)

"""Each run in a process of its own on this machine, one after another, so that its GPU memory is freed for the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from sft.experiments.failure import write_failure
from sft.experiments.launch.base import RunOutcome, launcher_registry
from sft.experiments.plan import PlannedRun
from sft.plugins import imported_modules
from sft.records import read_record

_SECONDS_TO_STOP = 10
_TAIL = 2000


@launcher_registry.register("local")
def run_in_processes(runs: Sequence[PlannedRun], results_path: Path) -> Iterator[RunOutcome]:
    """Everything that a run prints goes to `logs/<name>.log` under the results path."""
    logs = results_path / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sft-sweep-") as scratch:
        for number, run in enumerate(runs):
            task = Path(scratch) / f"{number}.json"
            log = logs / f"{_file_name(run.name)}.log"
            value = {
                "name": run.name,
                "config": run.config.model_dump(mode="json"),
                "results_path": str(results_path),
                "imports": imported_modules(),
            }
            task.write_text(json.dumps(value), encoding="utf-8")
            code = _run(task, log)
            outcome = task.with_suffix(".outcome")
            if outcome.exists():
                folder = Path(outcome.read_text(encoding="utf-8"))
                yield RunOutcome(run.name, read_record(folder), folder)
            else:
                error = f"the run's process ended {_how(code)}; the end of {log}:\n{_tail(log)}"
                failed, folder = write_failure(run.config, results_path, run.name, error)
                yield RunOutcome(run.name, failed, folder)


def _run(task: Path, log: Path) -> int:
    """The worker's exit code. An interrupt reaches the worker too (same terminal) and is then passed on."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sft.experiments.worker", str(task)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(_SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise


def _how(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    hint = " (the machine may be out of memory)" if -code == signal.SIGKILL else ""
    return f"by signal {signal.Signals(-code).name}{hint}"


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_.=" else "_" for character in name)[:150]

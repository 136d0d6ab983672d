"""A worker's process: how it is started and spoken to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sft.experiments.logs import log_path
from sft.experiments.protocol import Settings


def start_worker(
    settings: Settings, name: str, imports: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Start `sft.experiments.worker`. name: of its log, until the first run has its own. imports: plug-ins."""
    log = log_path(Path(settings.results_path), name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # In a session of its own: an interrupt from the terminal reaches the scheduler, which passes it on once.
        process = subprocess.Popen(
            [sys.executable, "-m", "sft.experiments.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            encoding="utf-8",
            env=dict(environment),
            start_new_session=True,
        )
    send(process, {"settings": dataclasses.asdict(settings), "worker": name, "imports": list(imports)})
    return process


def send(process: subprocess.Popen[str], value: Mapping[str, Any]) -> None:
    """Pass a line on. Where the process has ended, the end of what it writes tells so."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(value) + "\n")
        process.stdin.flush()


def let_end(process: subprocess.Popen[str]) -> None:
    """Tell a process that there is nothing more to do."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended
        process.stdin.close()


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"with exit code {code}"
    hint = " (the machine may be out of memory)" if -code == signal.SIGKILL else ""
    return f"by signal {signal.Signals(-code).name}{hint}"

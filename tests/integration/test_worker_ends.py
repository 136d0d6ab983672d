"""A worker that has nothing more to do ends, whatever libraries do when a process ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from sft.experiments.process import let_end, start_worker
from sft.experiments.protocol import Settings

TRACKER = """
import atexit, sys, time
from pathlib import Path

def at_the_end():
    Path({said!r}).write_text("begun")
    time.sleep({seconds})
    Path({said!r}).write_text("done")

atexit.register(at_the_end)
if hasattr(sys.modules["__main__"], "_SECONDS_TO_LEAVE"):
    sys.modules["__main__"]._SECONDS_TO_LEAVE = {limit}
Path({ready!r}).touch()
"""


@pytest.mark.parametrize(
    ("asks", "seconds", "limit", "said"),
    [("by end of input", 0.3, 60, "done"), ("by signal", 300, 0.3, "begun")],
    ids=["has time", "hangs"],
)
def test_what_asked_to_be_called_at_the_end_is_called_and_has_some_time(
    asks: str, seconds: float, limit: float, said: str, tmp_path: Path
) -> None:
    module = f"tracker_{asks.replace(' ', '_')}_{said}"
    paths = {"said": str(tmp_path / "said"), "ready": str(tmp_path / "ready")}
    (tmp_path / f"{module}.py").write_text(TRACKER.format(seconds=seconds, limit=limit, **paths))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    settings = Settings(str(tmp_path / "results"), began="2026-01-01T00:00:00+00:00")
    with start_worker(settings, "worker", [module], environment) as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None, (tmp_path / "results/logs/worker.log").read_text()
        if asks == "by signal":
            process.send_signal(signal.SIGTERM)
        else:
            let_end(process)
        assert process.wait(timeout=120) in (0, 130)
    assert (tmp_path / "said").read_text() == said
    assert "Traceback" not in (tmp_path / "results/logs/worker.log").read_text()

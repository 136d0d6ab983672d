"""The most memory that a process used since a moment: of the process, and of each GPU."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures from now on. `report` may be called more than once."""

    def __init__(self) -> None:
        import torch

        self._from_start = not _reset_process_peak()
        if torch.cuda.is_available():
            torch.cuda.init()  # type: ignore[no-untyped-call]  # before, there is nothing to reset
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)

    def report(self) -> dict[str, Any]:
        """Bytes. `process_since_start`: the system can't measure from a moment on, so earlier runs are in it too."""
        import torch

        name = "process_since_start" if self._from_start else "process"
        report: dict[str, Any] = {name: _process_peak()}
        if torch.cuda.is_available():
            report["gpus"] = [torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count())]
        return report


def _reset_process_peak() -> bool:
    """Whether Linux let us set the peak back to what is used now."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return _STATUS.exists()


def _process_peak() -> int:
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

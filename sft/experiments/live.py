"""What somebody sees who waits for a sweep: a line per worker on a terminal, a line per run elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from sft.experiments.outcome import RunOutcome
from sft.sizes import duration


class Live:
    """Shows nothing. Also counts, for those that show something."""

    def __init__(self) -> None:
        self.total = self.done = self.failed = 0
        self._ran = 0
        self._began = time.monotonic()

    def begin(self, total: int) -> None:
        self.total, self._began = total, time.monotonic()

    def working(self, worker: int, run: str, stage: str) -> None:
        """A worker begins a stage of a run."""

    def idle(self, worker: int) -> None:
        """A worker waits, or ends."""

    def ended(self, outcome: RunOutcome) -> None:
        self.done += 1
        self.failed += outcome.record.status == "failed"
        self._ran += not outcome.was_there

    def close(self) -> None:
        """Nothing more will happen."""

    def summary(self) -> str:
        """`12/24 done, 1 failed, about 3 min left`."""
        text = f"{self.done}/{self.total} done"
        if self.failed:
            text += f", {self.failed} failed"
        left = self.seconds_left()
        return text if left is None else f"{text}, about {duration(left)} left"

    def seconds_left(self) -> float | None:
        """As long as the runs of this sweep took so far, per run; None before the first."""
        if self._ran == 0 or self.done == self.total:
            return None
        return (time.monotonic() - self._began) / self._ran * (self.total - self.done)


class PlainLive(Live):
    """One line on standard error for each run that ended."""

    def ended(self, outcome: RunOutcome) -> None:
        super().ended(outcome)
        left = self.seconds_left()
        more = "" if left is None else f"; about {duration(left)} left"
        print(f"[{self.done}/{self.total}] {outcome.name}: {told(outcome)}{more}", file=sys.stderr, flush=True)


class TerminalLive(Live):
    """A line for each worker, redrawn in place, below the lines of the runs that ended."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live as Display

        self._console = Console(stderr=True)
        self._workers: dict[int, tuple[str, str, float]] = {}
        self._display = Display(console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=True)

    def begin(self, total: int) -> None:
        super().begin(total)
        self._display.start()

    def working(self, worker: int, run: str, stage: str) -> None:
        run_before, _, since = self._workers.get(worker, ("", "", 0.0))
        self._workers[worker] = (run, stage, since if run == run_before else time.monotonic())

    def idle(self, worker: int) -> None:
        self._workers.pop(worker, None)

    def ended(self, outcome: RunOutcome) -> None:
        super().ended(outcome)
        if not outcome.was_there:
            self._console.print(f"[{self.done}/{self.total}] {outcome.name}: {told(outcome)}", markup=False)

    def close(self) -> None:
        self._workers.clear()
        self._display.stop()

    def _draw(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        for worker, (run, stage, since) in sorted(self._workers.items()):
            seconds = duration(time.monotonic() - since)
            grid.add_row(Text(f"worker {worker}"), Text(run, overflow="ellipsis"), Text(stage), Text(seconds))
        grid.add_row(Text("in all", style="bold"), Text(self.summary(), style="bold"))
        return grid


def told(outcome: RunOutcome) -> str:
    """The end of a run in a few words."""
    record = outcome.record
    if record.status == "failed":
        return f"failed: {(record.error or 'no message').strip().splitlines()[0]}"
    headline = next((f"{name} {value:.3f}" for name, value in record.results.items() if isinstance(value, float)), "")
    seconds = "there already" if outcome.was_there else duration(record.timings.get("total", 0.0))
    return f"{headline} ({seconds})".strip()

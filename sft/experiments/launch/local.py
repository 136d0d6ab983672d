"""Worker processes on this machine, one for each GPU (or group of GPUs that a run needs), or one without GPUs."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

from sft.experiments.devices import worker_environments
from sft.experiments.launch.base import LaunchOptions, launcher_registry
from sft.experiments.logs import log_path, tail
from sft.experiments.outcome import RunOutcome
from sft.experiments.process import how_it_ended, let_end, send, start_worker
from sft.experiments.protocol import Ended
from sft.experiments.queue import QueuedTask, TaskQueue
from sft.plugins import imported_modules

_SECONDS_TO_STOP = 60.0
_SECONDS_BETWEEN_LOOKS = 0.5


class _Event(NamedTuple):
    """What a worker's process told; None: it ended."""

    slot: int
    pid: int
    value: dict[str, Any] | None


@launcher_registry.register("local")
def run_locally(tasks: Sequence[QueuedTask], options: LaunchOptions) -> Generator[RunOutcome]:
    """Everything that a run prints goes to `logs/<name>.log` under the results path."""
    if not tasks:
        return
    waiting = TaskQueue(tasks, options.settings)
    environments = worker_environments([run.config for task in tasks for run in task.runs], options.workers)
    pool = _Pool(environments[: len(tasks)], options)
    try:
        while len(waiting) or pool.works():
            pool.give_work(waiting)
            for outcome in [*pool.outcomes(waiting), *waiting.look_at_busy()]:
                options.live.ended(outcome)
                yield outcome
    finally:
        pool.stop()


class _Pool:
    """Slots for workers. A worker is started when there is a task for it."""

    def __init__(self, environments: Sequence[dict[str, str]], options: LaunchOptions) -> None:
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._slots = [_Slot(i, environment, options, self._events) for i, environment in enumerate(environments)]
        self._options = options

    def works(self) -> bool:
        return any(slot.task is not None for slot in self._slots)

    def give_work(self, waiting: TaskQueue) -> None:
        for slot in self._slots:
            if slot.task is None and (task := waiting.next(slot.model)) is not None:
                slot.give(task)

    def outcomes(self, waiting: TaskQueue) -> Iterator[RunOutcome]:
        """Wait a moment for what workers tell."""
        try:
            event = self._events.get(timeout=_SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            return
        slot = self._slots[event.slot]
        if slot.process is None or slot.process.pid != event.pid:
            return  # of a worker that was replaced
        if event.value is None:
            yield from slot.process_ended(waiting)
            return
        yield from slot.told(event.value, waiting)

    def stop(self) -> None:
        """Ask the workers to save what they can, and end those that take too long or when asked again."""
        running = [slot.process for slot in self._slots if slot.process is not None and slot.process.poll() is None]
        if running and any(slot.task is not None for slot in self._slots):
            print("stopping: runs save what they can (again to stop at once)", file=sys.stderr, flush=True)
        for process in running:
            process.terminate()
        until = time.monotonic() + _SECONDS_TO_STOP
        try:
            for process in running:
                process.wait(max(0.0, until - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            pass  # they are killed now
        finally:
            for process in running:
                process.kill()
                process.wait()
            for slot in self._slots:
                slot.close()


class _Slot:
    """A place for one worker process, and the task that it has."""

    def __init__(
        self, number: int, environment: dict[str, str], options: LaunchOptions, events: queue.SimpleQueue[_Event]
    ) -> None:
        self._number, self._environment, self._options, self._events = number, environment, options, events
        self.process: subprocess.Popen[str] | None = None
        self.task: QueuedTask | None = None
        self.model: str | None = None

    def give(self, task: QueuedTask) -> None:
        if self.process is None:
            self.process = self._start()
        self.task, self.model = task, task.model
        send(self.process, task.value()._asdict())

    def told(self, value: dict[str, Any], waiting: TaskQueue) -> Iterator[RunOutcome]:
        match value.pop("event"):
            case "stage":
                self._options.live.working(self._number, value["run"], value["stage"])
            case "ended":
                assert self.task is not None
                self.task, outcome = waiting.ended(self.task, Ended(**value))
                if outcome is not None:
                    yield outcome
            case "finished" | "retires":
                self.task = None
                self._options.live.idle(self._number)
                if "reason" in value or self._options.isolation == "process":
                    self.close()

    def process_ended(self, waiting: TaskQueue) -> Iterator[RunOutcome]:
        """Of a process that was to go on."""
        assert self.process is not None
        code = self.process.wait()
        task, self.task = self.task, None
        self.close()
        self._options.live.idle(self._number)
        if task is not None and task.runs:
            log = log_path(self._options.results_path, task.runs[0].name)
            error = f"the run's process ended {how_it_ended(code)}; the end of {log}:\n{tail(log)}"
            yield from waiting.crashed(task, error, killed=-code == signal.SIGKILL)

    def close(self) -> None:
        """Let a process end that has nothing to do."""
        if self.process is not None:
            let_end(self.process)
        self.process, self.model = None, None

    def _start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, **self._environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        name = f"worker-{self._number}"
        process = start_worker(self._options.settings, name, imported_modules(), environment)
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._events.put(_Event(self._number, process.pid, json.loads(line)))
        process.wait()  # nobody else does, where its slot went on to another process
        self._events.put(_Event(self._number, process.pid, None))

"""Workers on the machines of a Ray cluster that exists already (docs/ray.md)."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sft import __version__
from sft.errors import SftError
from sft.experiments.claims import release_claims_of
from sft.experiments.cluster import Machine, Needs, connection, machines, needs_of, room
from sft.experiments.failure import forget_failure, write_failure
from sft.experiments.launch.base import LaunchOptions, launcher_registry
from sft.experiments.outcome import RunOutcome
from sft.experiments.parcels import pack, unpack
from sft.experiments.process import how_it_ended
from sft.experiments.protocol import Ended
from sft.experiments.queue import QueuedTask, TaskQueue
from sft.experiments.remote import SECONDS_TO_SAVE, Brought, Place, RemoteWorker
from sft.pipeline.slug import slug
from sft.plugins import imported_modules
from sft.records import ITEMS_FILE, RECORD_FILE, SUPPORT_FILE

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_COUNTS = 2.0
_SECONDS_FOR_MACHINES = 60.0
"""How long runs wait, after machines were lost, for one that is big enough."""
_STARTS_AT_MOST = 3
_STOPPED = 130
"""Exit code of a worker that was asked to stop: by a machine that shuts down, if not by us."""


@launcher_registry.register("ray")
def run_on_ray(tasks: Sequence[QueuedTask], options: LaunchOptions) -> Generator[RunOutcome]:
    """Runs wait for machines as `resources` in their configs asks; those of a lost machine are done on another.

    Raises `SftError` where Ray or a cluster is missing, or no machine has what a run asks for.
    """
    if not tasks:
        return
    with connection() as ray, _probe(options.results_path) as probe:
        crew = _Crew(ray, tasks, options, probe)
        try:
            while crew.has_work():
                for outcome in [*crew.staff(), *crew.listen(), *crew.look_at_busy()]:
                    options.live.ended(outcome)
                    yield outcome
        finally:
            crew.stop()


@contextlib.contextmanager
def _probe(results_path: Path) -> Iterator[Path]:
    """A file by which machines see whether they share the results folder."""
    path = results_path / f".probe-{uuid.uuid4().hex}"
    path.touch()
    try:
        yield path
    finally:
        path.unlink()


class _Crew:
    """The workers of a sweep. Tasks with different needs have different workers."""

    def __init__(self, ray: Any, tasks: Sequence[QueuedTask], options: LaunchOptions, probe: Path) -> None:
        self._ray, self._options, self._probe = ray, options, probe
        self._machines, self._counted = machines(ray), time.monotonic()
        by_needs: dict[Needs, list[QueuedTask]] = {}
        for task in tasks:
            by_needs.setdefault(needs_of([run.config for run in task.runs], self._machines), []).append(task)
        for needs, members in by_needs.items():
            if not room(needs, self._machines):
                raise SftError(f"--launcher ray: {_too_big(members[0], needs, self._machines)}", _HOW_TO_FIT)
        self._queues = {needs: TaskQueue(members, options.settings) for needs, members in by_needs.items()}
        self._lacking: dict[Needs, float] = {}
        self._workers: list[_Worker] = []
        self._stopping: list[Any] = []
        self._started = self._failed_starts = 0

    def has_work(self) -> bool:
        return any(map(len, self._queues.values())) or any(worker.task is not None for worker in self._workers)

    def staff(self) -> Iterator[RunOutcome]:
        """Give tasks to workers, let those go for whom there is none, and start as many as can be used."""
        self._count_machines()
        for worker in [worker for worker in self._workers if worker.task is None]:
            if worker.place is not None and (task := self._queues[worker.needs].next(worker.model)) is not None:
                worker.give(task)
            elif self._queues[worker.needs].waiting == 0:
                self._workers.remove(worker)
                self._stopping.append(worker.actor.stop.remote())
        for needs, queue in self._queues.items():
            yield from self._give_up(needs, queue)
            own = [worker for worker in self._workers if worker.needs == needs]
            coming = sum(worker.task is None for worker in own)
            new = min(queue.waiting - coming, room(needs, self._machines) - len(own))
            if self._options.workers is not None:
                new = min(new, self._options.workers - len(self._workers))
            for _ in range(new):
                self._started += 1
                self._workers.append(_Worker(self._ray, self._started - 1, needs, self._options, self._probe))

    def listen(self) -> Iterator[RunOutcome]:
        """Wait a moment for what workers tell."""
        by_wait = {id(worker.waits): worker for worker in self._workers if worker.waits is not None}
        if not by_wait:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            return
        waits = [worker.waits for worker in by_wait.values()]
        ready, _ = self._ray.wait(waits, num_returns=1, timeout=_SECONDS_BETWEEN_LOOKS)
        for one in ready:
            worker = by_wait[id(one)]
            queue = self._queues[worker.needs]
            try:
                yield from self._hear(worker, queue)
            except self._ray.exceptions.RayActorError as error:
                yield from self._lost(worker, queue, error)

    def look_at_busy(self) -> Iterator[RunOutcome]:
        for queue in self._queues.values():
            yield from queue.look_at_busy()

    def stop(self) -> None:
        """Ask the workers to save what they can, and end those that take too long or when asked again."""
        if any(worker.task is not None for worker in self._workers):
            print("stopping: runs save what they can (again to stop at once)", file=sys.stderr, flush=True)
        stopping = [*self._stopping, *(w.actor.stop.remote() for w in self._workers if w.place is not None)]
        try:
            if stopping:
                self._ray.wait(stopping, num_returns=len(stopping), timeout=SECONDS_TO_SAVE + 5.0)
        except KeyboardInterrupt:
            pass  # they are killed now
        finally:
            for worker in self._workers:
                self._ray.kill(worker.actor)

    def _hear(self, worker: _Worker, queue: TaskQueue) -> Iterator[RunOutcome]:
        if worker.place is None:
            worker.arrive(self._place(worker))
            self._failed_starts = 0
            return
        try:
            event = self._ray.get(next(worker.waits))
        except StopIteration:
            worker.rest()
            return
        assert worker.task is not None
        match event.pop("event"):
            case "stage":
                self._options.live.working(worker.number, event["run"], event["stage"])
            case "ended":
                ended = worker.bring_home(Ended(**event))
                worker.task, outcome = queue.ended(worker.task, ended)
                if outcome is not None:
                    yield outcome
            case "died":
                error = f"the run's process on {worker.place.host} ended {how_it_ended(event['code'])}"
                task, worker.task = worker.task, replace(worker.task, runs=())
                if event["code"] == _STOPPED:
                    yield from queue.lost(task, error)
                else:
                    error += f"; the end of its log:\n{event['log']}"
                    yield from queue.crashed(task, error, killed=-event["code"] == signal.SIGKILL)

    def _place(self, worker: _Worker) -> Place:
        try:
            place: Place = self._ray.get(worker.waits)
        except self._ray.exceptions.RayTaskError as error:
            raise SftError(
                f"--launcher ray: a worker can't start on a machine of the cluster: {error}",
                f"install sft {__version__} with the same Python on every machine",
            ) from error
        if place.version != __version__:
            raise SftError(
                f"--launcher ray: {place.host} has sft {place.version}, this machine {__version__}",
                "install the same version on every machine",
            )
        return place

    def _lost(self, worker: _Worker, queue: TaskQueue, error: Exception) -> Iterator[RunOutcome]:
        """After a worker's actor died or became unreachable, as on a machine that went away."""
        self._workers.remove(worker)
        with contextlib.suppress(self._ray.exceptions.RayError):  # whoever can't be reached can't be killed either
            self._ray.kill(worker.actor)
        self._options.live.idle(worker.number)
        self._counted = 0.0
        if worker.place is None:
            self._failed_starts += 1
            if self._failed_starts == _STARTS_AT_MOST:
                raise SftError(f"--launcher ray: workers die before they begin: {error}", "see the logs of Ray")
        if worker.task is not None:
            assert worker.place is not None
            logger.warning("the worker on %s was lost; its run is done again elsewhere", worker.place.host)
            release_claims_of(self._options.results_path, worker.owner)
            yield from queue.lost(worker.task, f"the worker on {worker.place.host} was lost: {error}")

    def _count_machines(self) -> None:
        if time.monotonic() - self._counted >= _SECONDS_BETWEEN_COUNTS:
            self._machines, self._counted = machines(self._ray), time.monotonic()

    def _give_up(self, needs: Needs, queue: TaskQueue) -> Iterator[RunOutcome]:
        """Fail what no machine is big enough for, after a while."""
        if queue.waiting == 0 or room(needs, self._machines):
            self._lacking.pop(needs, None)
            return
        since = self._lacking.setdefault(needs, time.monotonic())
        if time.monotonic() - since >= _SECONDS_FOR_MACHINES:
            while (task := queue.next(None)) is not None:
                yield from queue.crashed(task, _too_big(task, needs, self._machines), killed=False)


class _Worker:
    """An actor, the task that it has, and what to wait for: first its place, then what it tells of the task."""

    def __init__(self, ray: Any, number: int, needs: Needs, options: LaunchOptions, probe: Path) -> None:
        self._ray, self._options = ray, options
        self.number, self.needs = number, needs
        self.owner = uuid.uuid4().hex
        self.task: QueuedTask | None = None
        self.model: str | None = None
        self.place: Place | None = None
        actor = ray.remote(RemoteWorker).options(
            num_cpus=needs.cpus, num_gpus=needs.gpus, memory=needs.memory or None, max_restarts=0, max_concurrency=4
        )
        self.actor = actor.remote(_brought(options, f"worker-{number}", self.owner, needs, probe))
        self.waits: Any = self.actor.ready.remote()

    def arrive(self, place: Place) -> None:
        self.place, self.waits = place, None
        if not place.shared:
            logger.info("%s doesn't see the results folder: results are fetched from there", place.host)

    def give(self, task: QueuedTask) -> None:
        assert self.place is not None
        answers = None
        if task.answers is not None and not self.place.shared:
            answers = _answers(Path(task.answers))
        self.task, self.model = task, task.model
        run = self.actor.run.options(num_returns="streaming")
        self.waits = run.remote(task.value()._asdict(), answers)

    def rest(self) -> None:
        self.task, self.waits = None, None
        self._options.live.idle(self.number)

    def bring_home(self, ended: Ended) -> Ended:
        """Fetch a run's results where the worker couldn't write them here. A failure is recorded here anew: that is
        how it doesn't replace an earlier success.
        """
        assert self.place is not None
        assert self.task is not None
        if self.place.shared or ended.status not in ("completed", "failed"):
            return ended
        config, results, folder = self.task.runs[0].config, self._options.results_path, Path(ended.folder).name
        if ended.status == "failed":
            identity = folder.removeprefix(f"{slug(config)}-")
            return ended._replace(
                folder=str(write_failure(config, results, ended.name, ended.error or "", identity)[1])
            )
        with tempfile.TemporaryFile() as archive:
            for piece in self.actor.fetch.options(num_returns="streaming").remote(ended.folder, ended.name):
                archive.write(self._ray.get(piece))
            archive.seek(0)
            unpack(archive, results)
        forget_failure(config, results)
        return ended._replace(folder=str(results / folder))


def _brought(options: LaunchOptions, name: str, owner: str, needs: Needs, probe: Path) -> Brought:
    kept = ("HF_", "TRANSFORMERS_", "TOKENIZERS_", "OMP_NUM_THREADS")
    environment = {key: value for key, value in os.environ.items() if key.startswith(kept) and key != "HF_TOKEN"}
    environment.setdefault("OMP_NUM_THREADS", str(needs.cpus))
    if needs.gpus == 0:
        environment["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves all of them visible
    path = [str(Path(one).absolute()) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    return Brought(
        replace(options.settings, owner=owner),
        name,
        imported_modules(),
        str(probe),
        str(Path.cwd()),
        path,
        environment,
        one_task=options.isolation == "process",
    )


def _answers(folder: Path) -> bytes:
    """What other runs need of a run that is complete."""
    names = [f"{folder.name}/{name}" for name in (RECORD_FILE, ITEMS_FILE, SUPPORT_FILE) if (folder / name).exists()]
    return b"".join(pack(folder.parent, names))


_HOW_TO_FIT = "ask for less in `resources` of the config, or add a machine to the cluster"


def _too_big(task: QueuedTask, needs: Needs, there: Sequence[Machine]) -> str:
    found = "; ".join(str(machine) for machine in sorted(set(there), reverse=True)[:5])
    return f"the run {task.runs[0].name!r} needs {needs}, which no machine of the cluster has (they have {found})"

"""A sweep whose processes are killed, over and over, until it is finished: `python -m tests.killed_sweep FOLDER MODE`.

The model's work is a fast fake that writes what a real run writes: checkpoints, weights, shards of scores. Everything
else is real. This process imports the package once and forks a child for every attempt, which runs the whole sweep in
itself, so that an attempt costs milliseconds. Prints JSON.

The sweep runs once to the end, then, from the start, as MODE says. `random N SECONDS`: killed at N random moments of
the first SECONDS of an attempt. `everywhere`: two of the runs, once for every rename and link, killed before or after
it; the attempt that follows is killed as well, soon after its begin. `two`: two schedulers at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from sft import api
from sft.calibration.scored import ScoredInput
from sft.config.load import NamedConfig
from sft.experiments.execute import Executor
from sft.experiments.launch import LaunchOptions, launcher_registry
from sft.experiments.outcome import RunOutcome
from sft.experiments.queue import QueuedTask, TaskQueue
from sft.inference.shards import ShardFolder, key_of
from sft.label_scores import LabelScores
from sft.models.source import ModelSource
from sft.pipeline import folds, shots, unfinished
from sft.pipeline import run as pipeline_run
from sft.pipeline.answers import Answers
from sft.pipeline.model import TrainedOnPool
from sft.training.train import TrainingSummary
from tests.fakes import labelled_rows, make_config, write_dataset

PAUSE = 0.001
"""Seconds that a piece of the fake's work takes."""

WORK = "work.log"
"""In the folder: a line for each piece of work that a model would do."""


def configs_of(folder: Path) -> list[NamedConfig]:
    """Ten runs in seven tasks: zero-shot with two calibrations and other metrics, trained ones, one with folds, and one
    that fails.
    """
    data = write_dataset(folder / "data", labelled_rows(8), labelled_rows(6, prefix="unseen "))
    base = {"dataset": {"path": str(data)}, "model": {"name": str(folder / "model")}}

    def config(shots: int, **sections: Any) -> Any:
        return make_config(**{**base, "dataset": {**base["dataset"], "shots": shots}, **sections})

    calibrated = {"inference": {"calibration": {"method": "batch"}}}
    return [
        NamedConfig("zero", config(0)),
        NamedConfig("zero batch", config(0, **calibrated)),
        NamedConfig("zero accuracy", config(0, evaluation={"metrics": ["accuracy"]})),
        *(NamedConfig(f"trained {seed}", config(2, seed=seed)) for seed in (1, 2, 3)),
        *(NamedConfig(f"trained batch {seed}", config(2, seed=seed, **calibrated)) for seed in (1, 2)),
        NamedConfig("folds", config(2, inference={"calibration": {"method": "temperature"}, "folds": 2})),
        NamedConfig("fails", config(2, seed=99)),
    ]


class FakeModel:
    """Knows nothing but the seed that it was trained with."""

    def __init__(self, source: ModelSource) -> None:
        self.source = source
        self.seed = 0
        if source.trained is not None:
            self.seed = json.loads((source.trained / "weights.json").read_text())["seed"]

    def describe(self) -> dict[str, Any]:
        return {"base": self.source.base, "adapter": None, "quantization": None}


class FakeAnswerer:
    """Scores are a hash of the seed, the row and the label, in shards of three rows."""

    def __init__(self, prepared: Any, loaded: FakeModel, shards: ShardFolder | None = None, texts: Any = None) -> None:
        self._prepared, self._loaded, self._shards = prepared, loaded, shards

    def answer(self, examples: Sequence[Any], *, also: Any = (), shots: Sequence[ScoredInput] | None = None) -> Answers:
        from sft.pipeline.label_scoring import LabelScoring

        prompts = [f"{example.row} {example.inputs}" for example in examples]
        scoring = LabelScoring(self._prepared, _FakeScorer(self), None)  # type: ignore[arg-type]
        return scoring.answers(examples, prompts, [], shots or ())  # type: ignore[arg-type]

    def label_scores(self, shots: Sequence[Any]) -> list[ScoredInput]:
        from sft.pipeline.support import shot_input

        scores = self.scores([str(shot.inputs) for shot in shots], sharded=False)
        counts = np.ones(3, dtype=np.int64)
        return [ScoredInput(shot_input(s, self._prepared), row, counts) for s, row in zip(shots, scores, strict=True)]

    def scores(self, prompts: Sequence[str], *, sharded: bool = True) -> Any:
        rows = []
        for start in range(0, len(prompts), 3):
            shard = prompts[start : start + 3]
            key = key_of(*shard)
            known = self._shards.get(key) if self._shards and sharded else None
            if known is None:
                work(f"score {self._loaded.seed} {start} {len(shard)}")
                known = np.array([[_number(self._loaded.seed, text, label) for label in range(3)] for text in shard])
                if self._shards and sharded:
                    self._shards.put(key, known)
            rows.append(known)
        return np.concatenate(rows)


class _FakeScorer:
    def __init__(self, answerer: FakeAnswerer) -> None:
        self._answerer = answerer

    def score(self, prompts: Sequence[str], end: int | None) -> LabelScores:
        scores = self._answerer.scores(prompts)
        return LabelScores(scores, np.ones_like(scores, dtype=np.int64))

    def report(self) -> dict[str, Any]:
        return {}


def _number(*parts: object) -> float:
    return -int(hashlib.sha256(repr(parts).encode()).hexdigest()[:6], 16) / 0xFFFFFF * 5


_folder = Path()


def work(what: str) -> None:
    """Model work takes a moment, and is told of in one atomic write."""
    time.sleep(PAUSE)
    with (_folder / WORK).open("ab", buffering=0) as log:
        log.write(f"{os.getpid()} {what}\n".encode())


def fake_training(prepared: Any, loaded: FakeModel, args: Path, **more: Any) -> TrainedOnPool:
    """Four steps, each with a checkpoint; goes on from the last."""
    seed = prepared.config.seed_for("train")
    rows = tuple(example.row for example in prepared.pool)
    done = 0 if more.get("resume_from") is None else int(more["resume_from"].name.split("-")[1])
    for step in range(done + 1, 5):
        work(f"train {seed} {rows} {step}")
        if more.get("saves"):
            checkpoint = args / f"checkpoint-{step}"
            checkpoint.mkdir(parents=True, exist_ok=True)
            (checkpoint / "trainer_state.json").write_text("{}")
    if seed == 99:
        raise ValueError("this one always fails")
    loaded.seed = seed
    summary = TrainingSummary(
        sequences=len(rows),
        tokens=1,
        answer_tokens=1,
        steps=4,
        epochs=1.0,
        processes=1,
        effective_batch_size=2,
        loss=0.5,
        seconds=0.0,
        trainable_parameters=1,
        total_parameters=1,
        computation={},
        initialization=None,
        objective={"method": "next_token"},
        log=[],
    )
    return TrainedOnPool(summary, {"truncation": {}})


def fake_save(loaded: FakeModel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.json").write_text(json.dumps({"seed": loaded.seed}))


def fake_source(config: Any, checkpoint: str | None = None) -> ModelSource:
    return ModelSource(config.name, None if checkpoint is None else Path(checkpoint))


@contextlib.contextmanager
def fake_model(self: Any, config: Any, source: ModelSource) -> Iterator[FakeModel]:
    yield FakeModel(source)


def use_fakes() -> None:
    pipeline_run.Session.model = fake_model  # type: ignore[assignment,method-assign]
    for module in (pipeline_run, shots):
        module.Answerer = FakeAnswerer  # type: ignore[attr-defined,misc]
    for module in (pipeline_run, folds):
        module.train_on_pool = fake_training  # type: ignore[attr-defined]
        module.trainer_config = lambda config, folder, **more: folder  # type: ignore[attr-defined]
    pipeline_run.find_model = fake_source  # type: ignore[assignment]
    ModelSource.fingerprint = lambda self: None  # type: ignore[method-assign,assignment]
    unfinished.save_weights = fake_save  # type: ignore[assignment]
    unfinished.environment = lambda: {"fake": True}  # type: ignore[assignment]
    pipeline_run.environment = dict  # type: ignore[assignment]


class _Deaf:
    def begins(self, run: str) -> None:
        pass

    def stage(self, run: str, stage: str) -> None:
        pass


@launcher_registry.register("here")
def run_here(tasks: Sequence[QueuedTask], options: LaunchOptions) -> Generator[RunOutcome]:
    """Every task in the scheduler's own process."""
    waiting = TaskQueue(tasks, options.settings)
    executor = Executor(options.settings, _Deaf())
    while len(waiting):
        yield from waiting.look_at_busy()
        task = waiting.next(None)
        if task is None:
            time.sleep(0.01)
            continue
        for ended in executor.run(task.value()):
            task, outcome = waiting.ended(task, ended)
            if outcome is not None:
                yield outcome


_configs: dict[Path, list[NamedConfig]] = {}


def sweep(folder: Path) -> None:
    api.run_experiments(_configs[folder], folder / "results", launcher="here")


def attempt(folder: Path, prepare: Callable[[], None] = lambda: None) -> int:
    """Start a child that runs the sweep; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        prepare()
        sweep(folder)
        os._exit(0)  # at once, past what follows
    finally:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        os._exit(3)


def ended_well(pid: int) -> bool:
    """Whether a child finished the sweep; anything but that or SIGKILL is an error."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    assert os.waitstatus_to_exitcode(status) == 0, f"an attempt ended with {status}"
    return True


def table(folder: Path) -> dict[str, Any]:
    """The aggregated table without what may differ: seconds, and the tracebacks' places."""
    value: dict[str, Any] = json.loads((folder / "results" / "aggregated_results.json").read_text())
    for row in value["runs"]:
        row.pop("seconds")
    return value


def differences(folder: Path, expected: dict[str, Any]) -> list[str]:
    """What of a finished sweep isn't as in an undisturbed one; and what it left behind, but for its failed run."""
    have = table(folder)
    pairs = [(key, have[key], expected[key]) for key in expected if have[key] != expected[key]]
    found = [f"{key}: {left} instead of {right}" for key, left, right in pairs]
    for pattern in ("*/unfinished", "*/claim-*"):
        found += [
            str(path.relative_to(folder)) for path in (folder / "results").glob(pattern) if "seed99" not in str(path)
        ]
    return found


def to_the_end(folder: Path) -> None:
    while not ended_well(attempt(folder)):
        pass


def from_the_start(folder: Path) -> None:
    shutil.rmtree(folder / "results", ignore_errors=True)
    (folder / WORK).unlink(missing_ok=True)


def random_kills(folder: Path, kills: int, seconds: float) -> int:
    """Attempts that were finished before they were to be killed don't count, and the sweep starts again."""
    generator, done = random.Random(0), 0
    while done < kills:
        pid = attempt(folder)
        time.sleep(generator.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
        if not ended_well(pid):
            done += 1
        else:
            from_the_start(folder)
    to_the_end(folder)
    return done


def dying(at: int) -> Callable[[], None]:
    """Make a process kill itself at its n-th rename or link: before it where n is even, after it where n is odd."""

    def install() -> None:
        left = at

        def watched(original: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                _die_if(left == 0)
                left -= 1
                result = original(*args, **kwargs)
                _die_if(left == 0)
                left -= 1
                return result

            return call

        for owner, name in ((Path, "replace"), (os, "link")):
            setattr(owner, name, watched(getattr(owner, name)))

    return install


def _die_if(condition: bool) -> None:
    if condition:
        _die()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def kills_everywhere(folder: Path, expected: dict[str, Any]) -> tuple[int, list[str]]:
    """How many places there were to be killed at, and what differed after which."""
    wrong: list[str] = []
    at = 0
    while True:
        from_the_start(folder)
        if ended_well(attempt(folder, dying(at))):
            return at, wrong
        ended_well(attempt(folder, dying(at % 7)))
        to_the_end(folder)
        wrong += [f"after {at}: {what}" for what in differences(folder, expected)]
        at += 1


def two_schedulers(folder: Path) -> None:
    ended = [ended_well(pid) for pid in (attempt(folder), attempt(folder))]
    assert all(ended)


def main(folder: Path, mode: str, *args: str) -> None:
    use_fakes()
    (folder / "model").mkdir(parents=True)
    configs = configs_of(folder)
    _configs[folder] = [configs[1], configs[3]] if mode == "everywhere" else configs
    global _folder
    _folder = folder
    sweep(folder)  # here, so that children needn't import anything
    failed = [row["name"] for row in table(folder)["runs"] if row["status"] == "failed"]
    assert failed == ([] if mode == "everywhere" else ["fails"]), failed
    expected, pieces = table(folder), len((folder / WORK).read_text().splitlines())
    from_the_start(folder)
    kills, wrong = 0, list[str]()
    match mode:
        case "random":
            kills = random_kills(folder, int(args[0]), float(args[1]))
        case "everywhere":
            kills, wrong = kills_everywhere(folder, expected)
        case "two":
            two_schedulers(folder)
    wrong += differences(folder, expected)
    work = [line.split(" ", 1) for line in (folder / WORK).read_text().splitlines()]
    json.dump({"kills": kills, "wrong": wrong, "work": work, "pieces_undisturbed": pieces}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

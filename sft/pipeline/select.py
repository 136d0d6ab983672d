"""Choosing training arguments by cross-validation inside the shots: `training.select`.

Every point of the grid is trained on each of the folds' rests and judged on the fold, so the labels are those of the
run's one budget; no test row is looked at. The run itself then trains on all shots with the best point's values.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from sft.config.schema import SelectConfig
from sft.data.example import Example
from sft.distributed import is_main, on_main
from sft.errors import ConfigError, DivergedError, NotANumberError, Problem, TrainingError
from sft.models.source import ModelSource
from sft.pipeline.folds import folds_of_pool, too_few_to_split, trained_without
from sft.pipeline.grid import FoldResult, Values, best_point, grid_points, summarise, with_values
from sft.pipeline.held_out import CRITERIA, held_out_score
from sft.pipeline.prepare import Prepared
from sft.pipeline.recording import RunLog
from sft.pipeline.session import Session
from sft.progress import progress
from sft.records import write_text
from sft.training.arguments import WITHOUT_EFFECT, trainer_config
from sft.training.sharded import refuse_sharded

logger = logging.getLogger(__name__)

_FILE = "selection.jsonl"


class SelectionPlan(NamedTuple):
    """What is to be tried: every point on every fold of the pool."""

    spec: SelectConfig
    points: list[dict[str, Any]]
    folds: list[list[Example]]


class Selected(NamedTuple):
    """prepared: the run with the chosen values in its config. report: what its record says of the training beside."""

    prepared: Prepared
    report: dict[str, Any]


def plan_selection(prepared: Prepared, *, trains: bool) -> SelectionPlan | None:
    """None where the config selects nothing. No model is loaded yet.

    Raises `ConfigError` for values that a training argument can't have, `TrainingError` for too few shots.
    """
    training = prepared.config.training
    if not trains or training is None or training.select is None:
        return None
    refuse_sharded("training.select")
    too_few = too_few_to_split(prepared)
    if too_few is not None:
        raise TrainingError(
            f"training.select judges on shots that are held out, and {too_few}",
            "raise dataset.shots to 2 or more, or write the values into training.trainer_args instead",
        )
    points = grid_points(training.select.grid)
    _check_values(prepared, points)
    folds = folds_of_pool(prepared, training.select.folds)
    if len(folds) < training.select.folds:
        logger.warning(
            "training.select.folds is %d, and there are shots for %d: so many are used",
            training.select.folds,
            len(folds),
        )
    return SelectionPlan(training.select, points, folds)


class Selecting(NamedTuple):
    """How a run selects. folder: for what is known so far. smaller: what the batches of training are divided by."""

    run_id: str
    folder: Path
    session: Session
    log: RunLog
    smaller: int = 1


def select_values(
    prepared: Prepared, source: ModelSource, plan: SelectionPlan | None, selecting: Selecting
) -> Selected:
    """The run as it trains: with the best values where there is a plan, else as it is.

    What is known of a point on a fold is written into the folder at once, and not computed again by a run of the same
    id while it is there. Warnings of these trainings are in the report, and not in the log. One model is in memory
    at a time. Raises `TrainingError` where every point diverges.
    """
    if plan is None:
        return Selected(prepared, {})
    with selecting.log.stage("selection"), selecting.log.apart() as warnings:
        results = _cross_validate(prepared, source, plan, selecting)
    points = [summarise(values, [one for one in results if one.values == values]) for values in plan.points]
    best = best_point(points, higher_is_better=CRITERIA[plan.spec.metric].higher_is_better)
    if best is None:
        raise TrainingError(
            "training diverged at every point of training.select.grid", "add smaller values of learning_rate"
        )
    logger.info("chosen by cross-validation: %s", shown(best.values))
    report = {
        "chosen": best.values,
        "metric": plan.spec.metric,
        "folds": len(plan.folds),
        "rows": len(prepared.pool),
        "points": [{**asdict(point), "chosen": point is best} for point in points],
        "seconds": sum(result.seconds for result in results),
        "warnings": warnings,
    }
    return Selected(replace(prepared, config=with_values(prepared.config, best.values)), {"selection": report})


def forget_selection(folder: Path) -> None:
    """Remove what `select_values` left in a folder."""
    (folder / _FILE).unlink(missing_ok=True)


def shown(values: Values) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _cross_validate(
    prepared: Prepared, source: ModelSource, plan: SelectionPlan, selecting: Selecting
) -> list[FoldResult]:
    """Once a point diverged on a fold, it isn't tried on the others: it can't be chosen."""
    file, run_id = selecting.folder / _FILE, selecting.run_id
    results = on_main(lambda: _read(file, run_id))
    done = {_key(one.values, one.fold) for one in results}
    diverged = [one.values for one in results if one.score is None]
    pairs = [(values, number) for values in plan.points for number in range(len(plan.folds))]
    for values, number in progress(pairs, "selecting"):
        if _key(values, number) in done or values in diverged:
            continue
        point = replace(prepared, config=with_values(prepared.config, values))
        result = _try(point, source, plan, values, number, selecting)
        results.append(result)
        if is_main():
            _write(file, run_id, results)
        if result.score is None:
            diverged.append(values)
        outcome = "diverged" if result.score is None else f"{plan.spec.metric} {result.score:.4f}"
        logger.info("%s: fold %d of %d: %s", shown(values), number + 1, len(plan.folds), outcome)
    return sorted(results, key=lambda one: one.fold)


def _try(
    prepared: Prepared, source: ModelSource, plan: SelectionPlan, values: Values, number: int, selecting: Selecting
) -> FoldResult:
    started, held_out = time.perf_counter(), plan.folds[number]
    score, epochs = math.nan, 0.0
    try:
        with trained_without(prepared, source, held_out, selecting.session, selecting.smaller) as trained:
            epochs = trained.summary.epochs
            score = held_out_score(trained, held_out, plan.spec.metric)
    except (DivergedError, NotANumberError) as error:
        logger.info("%s: %s", shown(values), error.message)
    seconds = time.perf_counter() - started
    return FoldResult(values, number, score if math.isfinite(score) else None, epochs, seconds)


def _check_values(prepared: Prepared, points: Sequence[Values]) -> None:
    problems: dict[Problem, None] = {}
    for name in sorted(points[0].keys() & WITHOUT_EFFECT.keys()):
        problems[Problem(f"training.select.grid.{name}", f"has no effect: {WITHOUT_EFFECT[name]}", "remove it")] = None
    with tempfile.TemporaryDirectory(prefix="sft-") as scratch:
        for values in () if problems else points:
            try:
                trainer_config(with_values(prepared.config, values), Path(scratch), keep_checkpoints=False)
            except ConfigError as error:
                problems |= dict.fromkeys(_of_grid(problem, values) for problem in error.problems)
    if problems:
        raise ConfigError("training.select", list(problems))


def _of_grid(problem: Problem, values: Values) -> Problem:
    """The problem with a value of trainer_args, under the name that the user wrote."""
    name = problem.key.removeprefix("training.trainer_args.")
    if name in values:
        return problem._replace(key=f"training.select.grid.{name}")
    return problem if problem.key else problem._replace(key="training.select.grid")


def _key(values: Values, fold: int) -> str:
    return json.dumps([values, fold], sort_keys=True)


def _read(file: Path, run_id: str) -> list[FoldResult]:
    """The results in the file that are of this run. (A folder of `train` may hold those of another.)"""
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [FoldResult(**line["result"]) for line in lines if line["run_id"] == run_id]


def _write(file: Path, run_id: str, results: Sequence[FoldResult]) -> None:
    """All results, by rename: a reader sees whole lines only, whenever the run is killed."""
    write_text(file, "".join(json.dumps({"run_id": run_id, "result": asdict(one)}) + "\n" for one in results))

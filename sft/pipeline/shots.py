"""Scores of the shots by models that haven't seen their labels, for calibrations and thresholds that learn from them.

The labels are those of the run's one budget. An untrained model scores every shot after in-context examples of other
shots. A trained one has learnt them all, so for each fold of the shots another adapter is trained on the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from sft.data.example import Example
from sft.models.source import ModelSource
from sft.pipeline.answer import Answerer
from sft.pipeline.folds import folds_of_pool, too_few_to_split, trained_without
from sft.pipeline.prepare import Prepared
from sft.pipeline.session import Session
from sft.pipeline.tasks import task_scoring_shots
from sft.pipeline.tasks.base import Obstacle, ScoredShot, ShotScoringTask
from sft.pipeline.unfinished import Unfinished

logger = logging.getLogger(__name__)


class ShotPlan(NamedTuple):
    """folds: parts of the pool, each to be scored by an adapter trained on the others; none without training.

    warnings: of the prompts of the shots. A record keeps them apart, because they are none of a run's that scores no
    shots.
    """

    folds: list[list[Example]]
    warnings: list[str]

    def report(self, prepared: Prepared) -> dict[str, Any]:
        """For the record."""
        how = {"method": "folds", "folds": len(self.folds)} if self.folds else {"method": "leave-one-out"}
        return {**how, "rows": len(prepared.pool), "warnings": self.warnings}


def plan_shots(prepared: Prepared, source: ModelSource, *, trains: bool) -> ShotPlan | None:
    """How the shots are to be scored; None where nobody asks for it, or asks in vain.

    Raises `SftError` where the answers need what can't be had. Nothing is loaded yet.
    """
    config, task = prepared.config, task_scoring_shots(prepared.config)
    if task is None:
        return None
    obstacle = _obstacle(prepared, source, trains)
    if obstacle is not None:
        task.do_without_shots(prepared, obstacle)
        return None
    # What there is to warn of folds shows when they are trained on.
    folds = config.inference_or_default.folds
    return ShotPlan(folds_of_pool(prepared, folds), []) if trains else _leaving_one_out(prepared)


def score_in_folds(
    prepared: Prepared,
    source: ModelSource,
    folds: list[list[Example]],
    session: Session,
    unfinished: Unfinished,
    smaller: int = 1,
) -> list[ScoredShot]:
    """Every shot, in the order of the pool, scored by an adapter trained on the folds that it isn't in.

    One model is in memory at a time. smaller: what the batches of training are divided by.
    """
    task = task_scoring_shots(prepared.config)
    assert task is not None
    by_row: dict[int, ScoredShot] = {}
    for number, held_out in enumerate(folds, start=1):
        items = unfinished.fold(number)
        if items is None:
            logger.info("scoring shots: fold %d of %d", number, len(folds))
            items = [one.as_item() for one in _score_fold(prepared, task, source, held_out, session, smaller)]
            unfinished.keep_fold(number, items)
        by_row |= {one.row: one for one in map(task.read_shot, items)}
    return [by_row[shot.row] for shot in prepared.pool]


def _leaving_one_out(prepared: Prepared) -> ShotPlan:
    warnings = prepared.calibration_examples().warnings
    for warning in warnings:
        logger.warning("%s", warning)
    return ShotPlan([], warnings)


def _obstacle(prepared: Prepared, source: ModelSource, trains: bool) -> Obstacle | None:
    if source.trained is not None:
        return Obstacle(
            f"it can't be known which rows {str(source.trained)!r} was trained on",
            "train and evaluate in one run, with `run-experiment`",
        )
    if not prepared.pool:
        return Obstacle(
            "there are none: dataset.shots and inference.icl_examples are 0", "raise one of them, or use another method"
        )
    too_few = too_few_to_split(prepared) if trains else None
    if too_few is not None:
        return Obstacle(too_few, "raise dataset.shots to 2 or more, or use another method")
    return None


def _score_fold(
    prepared: Prepared,
    task: ShotScoringTask,
    source: ModelSource,
    held_out: list[Example],
    session: Session,
    smaller: int,
) -> Sequence[ScoredShot]:
    with trained_without(prepared, source, held_out, session, smaller) as trained:
        return task.score_shots(Answerer(trained.rest, trained.loaded), held_out)

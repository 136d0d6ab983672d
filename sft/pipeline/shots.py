"""Scores of the shots by models that haven't seen their labels, for calibrations that learn from labelled rows.

The labels are those of the run's one budget. An untrained model scores every shot after in-context examples of other
shots. A trained one has learnt them all, so for each fold of the shots another adapter is trained on the rest.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from sft.calibration.scored import ScoredInput
from sft.data.example import Example
from sft.errors import SftError
from sft.models.source import ModelSource
from sft.pipeline.answer import Answerer
from sft.pipeline.conclude import needs_of, scores_shots
from sft.pipeline.folds import folds_of_pool, too_few_to_split, trained_without
from sft.pipeline.prepare import Prepared
from sft.pipeline.session import Session
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
    """How the shots are to be scored; None where nobody asks for it, or `inference.score_shots` asks in vain.

    Raises `SftError` where the config's calibration needs what can't be had. Nothing is loaded yet.
    """
    inference = prepared.config.inference_or_default
    needed = any(needs.shots for needs in needs_of(inference))
    if not prepared.config.scores_answers or not scores_shots(inference):
        return None
    obstacle = _obstacle(prepared, source, trains)
    if obstacle is None:
        # What there is to warn of folds shows when they are trained on.
        return ShotPlan(folds_of_pool(prepared, inference.folds), []) if trains else _leaving_one_out(prepared)
    if needed:
        assert inference.calibration is not None
        raise SftError(
            f"inference.calibration: {inference.calibration.method!r} learns from labelled rows, and {obstacle.what}",
            obstacle.fix,
        )
    logger.warning("inference.score_shots has no effect: %s", obstacle.what)
    return None


def score_in_folds(
    prepared: Prepared,
    source: ModelSource,
    folds: list[list[Example]],
    session: Session,
    unfinished: Unfinished,
    smaller: int = 1,
) -> list[ScoredInput]:
    """Every shot, in the order of the pool, scored by an adapter trained on the folds that it isn't in.

    One model is in memory at a time. smaller: what the batches of training are divided by.
    """
    by_row: dict[int | None, ScoredInput] = {}
    for number, held_out in enumerate(folds, start=1):
        scored = unfinished.fold(number)
        if scored is None:
            logger.info("scoring shots: fold %d of %d", number, len(folds))
            scored = _score_fold(prepared, source, held_out, session, smaller)
            unfinished.keep_fold(number, scored)
        by_row |= {one.input.row: one for one in scored}
    return [by_row[shot.row] for shot in prepared.pool]


def _leaving_one_out(prepared: Prepared) -> ShotPlan:
    warnings = prepared.calibration_examples().warnings
    for warning in warnings:
        logger.warning("%s", warning)
    return ShotPlan([], warnings)


class _Obstacle(NamedTuple):
    what: str
    fix: str


def _obstacle(prepared: Prepared, source: ModelSource, trains: bool) -> _Obstacle | None:
    if source.trained is not None:
        return _Obstacle(
            f"it can't be known which rows {str(source.trained)!r} was trained on",
            "train and evaluate in one run, with `run-experiment`",
        )
    if not prepared.pool:
        return _Obstacle(
            "there are none: dataset.shots and inference.icl_examples are 0", "raise one of them, or use another method"
        )
    too_few = too_few_to_split(prepared) if trains else None
    if too_few is not None:
        return _Obstacle(too_few, "raise dataset.shots to 2 or more, or use another method")
    return None


def _score_fold(
    prepared: Prepared, source: ModelSource, held_out: list[Example], session: Session, smaller: int
) -> list[ScoredInput]:
    with trained_without(prepared, source, held_out, session, smaller) as trained:
        return Answerer(trained.rest, trained.loaded).score_shots(held_out)

"""Models trained on a part of the shots: what is known of the others then comes from nobody who saw their labels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sft.config.schema import ExperimentConfig
from sft.data.example import Example
from sft.data.folds import stratified_folds
from sft.models.load import LoadedModel
from sft.models.source import ModelSource
from sft.pipeline.model import train_on_pool
from sft.pipeline.prepare import Prepared
from sft.pipeline.session import Session
from sft.training.arguments import trainer_config
from sft.training.train import TrainingSummary

# A fold's adapter is nobody's result: it is neither published nor reported anywhere.
_OF_THE_RESULT = ("push_to_hub", "report_to")


class TrainedOnRest(NamedTuple):
    """A model trained on a pool without some of its rows. rest: the run with that pool."""

    rest: Prepared
    loaded: LoadedModel
    summary: TrainingSummary


def folds_of_pool(prepared: Prepared, folds: int) -> list[list[Example]]:
    """The pool in `folds` parts, or in as many as the rarest label (where rows have not one label each: the pool) has
    rows."""
    return stratified_folds(prepared.pool, min(folds, *(count for _, count in _counts(prepared))))


def too_few_to_split(prepared: Prepared) -> str | None:
    """Why no row can be held out, if none can: nobody could learn its label from the rest."""
    for name, count in _counts(prepared):
        if count < 2 and not name:
            return f"there is {count} row to train on: nothing is left to learn from without it"
        if count < 2:
            return f"the label {name!r} has {count} shot: an adapter that is trained without it never sees the label"
    return None


@contextmanager
def trained_without(
    prepared: Prepared, source: ModelSource, held_out: list[Example], session: Session, smaller: int = 1
) -> Iterator[TrainedOnRest]:
    """The model, trained on the pool without these rows. Nothing of it is kept on disk, or in memory afterwards.

    smaller: what the batches of training are divided by.
    """
    rows = {shot.row for shot in held_out}
    rest = replace(prepared, pool=[shot for shot in prepared.pool if shot.row not in rows])
    with session.model(prepared.config, source) as loaded, tempfile.TemporaryDirectory(prefix="sft-") as scratch:
        args = trainer_config(_quiet(prepared.config), Path(scratch), keep_checkpoints=False, smaller=smaller)
        trained = train_on_pool(rest, loaded, args, stage="training on folds")
        yield TrainedOnRest(rest, loaded, trained.summary)


def _counts(prepared: Prepared) -> list[tuple[str, int]]:
    """The rows of every label in the pool; those of all, nameless, where rows have not one label each."""
    if prepared.labels is None or not prepared.labels.exclusive:
        return [("", len(prepared.pool))]
    return [(name, sum(e.label == i for e in prepared.pool)) for i, name in enumerate(prepared.labels.names)]


def _quiet(config: ExperimentConfig) -> ExperimentConfig:
    assert config.training is not None
    args = {name: value for name, value in config.training.trainer_args.items() if name not in _OF_THE_RESULT}
    return config.model_copy(update={"training": config.training.model_copy(update={"trainer_args": args})})

"""Loading the model of a run, and training an adapter on a run's pool."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sft.config.schema import ExperimentConfig
from sft.models.load import LoadedModel, load_model
from sft.models.source import ModelSource
from sft.models.tokenizer import load_tokenizer
from sft.pipeline.answer import Answerer
from sft.pipeline.example_prompt import example_prompt
from sft.pipeline.prepare import Prepared
from sft.pipeline.run_prompts import training_prompts, virtual_tokens_of
from sft.prompting.labelled import IGNORED
from sft.training.sequences import answers_only, loss_labels
from sft.training.train import TrainingSummary, train_adapter

logger = logging.getLogger(__name__)


class TrainedOnPool(NamedTuple):
    """What happened in the training, and what a record says of its prompts."""

    summary: TrainingSummary
    prompts: dict[str, Any]


def load(config: ExperimentConfig, source: ModelSource) -> LoadedModel:
    return load_model(config.model, source, load_tokenizer(config.model, source))


def train_on_pool(
    prepared: Prepared,
    loaded: LoadedModel,
    args: Any,
    *,
    resume_from: Path | None = None,
    saves: bool = False,
    callbacks: Sequence[Any] = (),
    stage: str = "training",
) -> TrainedOnPool:
    """Put the config's adapter on the loaded model and train it on all rows of the pool.

    args: an `SFTConfig`. resume_from, saves, callbacks: see `train_adapter`. stage: what warnings about cut prompts
    call this.
    """
    adapter = prepared.config.adapter_spec
    assert adapter is not None
    answerer = Answerer(prepared, loaded)
    builder = answerer.builder(args.max_length, virtual_tokens_of(prepared.config))
    shown = prepared.training_examples()
    prompts = training_prompts(prepared, answerer.format, builder, shown)
    warning = builder.counts.warning(stage)
    if warning:
        logger.warning(warning)
    summary = train_adapter(
        loaded,
        adapter,
        args,
        prompts.sequences,
        config=prepared.config.training,
        labels=prompts.labels,
        resume_from=resume_from,
        saves=saves,
        callbacks=callbacks,
    )
    first = prompts.sequences[0]
    in_loss = [label != IGNORED for label in loss_labels(first, answers_only=answers_only(args))]
    report = {
        "in_context_examples": shown.counts,
        "truncation": builder.counts.as_dict(),
        "example": example_prompt(first.ids, loaded.tokenizer, in_loss),
    }
    return TrainedOnPool(summary, report)

"""The memory and the time of a training on a GPU, told from the config and the lengths of its rows, without weights."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sft.adapters import method_of
from sft.config.schema import ExperimentConfig
from sft.errors import TrainingError
from sft.models.architecture import architecture_of, empty_model
from sft.prompting.labelled import IGNORED, LabelledIds
from sft.training.fast.choose import worth_compiling
from sft.training.fast.duration import COMPILING, micro_batch_time, step_time
from sft.training.fast.fit import Fit, fitting
from sft.training.fast.gpus import GpuSpeed
from sft.training.fast.memory import activation_size


@dataclass(frozen=True)
class TrainingEstimate:
    """fit: into how many parts a batch is divided, whether layers are computed again, and the memory that takes.

    fits: whether that is less than what there is. compiled: whether elementwise parts are. seconds: of all steps, where
    the GPU's speed is known.
    """

    fit: Fit
    fits: bool
    compiled: bool
    seconds: float | None


def estimate_training(
    config: ExperimentConfig,
    rows: Sequence[LabelledIds],
    *,
    steps: int,
    gpu_bytes: int,
    speed: GpuSpeed | None = None,
) -> TrainingEstimate:
    """For flat batches of these rows on one GPU with so much free memory.

    config: with an adapter and a training. rows: all, or some that stand for all. steps: of the optimizer. Raises
    `ModelError` where the model's config can't be read, and `TrainingError` for quantised models and adapters with
    vectors of their own, which aren't estimated.
    """
    adapter, training = config.adapter_spec, config.training
    assert adapter is not None
    assert training is not None
    method = method_of(adapter)
    if config.model.quantization is not None:
        raise TrainingError("the memory of quantised models isn't estimated", "leave out model.quantization")
    if method.virtual_tokens(adapter.args):
        raise TrainingError(f"the memory of {adapter.method!r}, which isn't trained in flat batches, isn't estimated")
    architecture = architecture_of(config.model)
    if getattr(architecture, "quantization_config", None) is not None:
        raise TrainingError(f"the memory of quantised models isn't estimated, and {config.model.name!r} is one")
    with torch.device("meta"):
        model = method.wrap(empty_model(config.model, architecture), adapter.args)
    args = training.trainer_args
    batch = int(args.get("per_device_train_batch_size", _default("per_device_train_batch_size")))
    accumulated = int(args.get("gradient_accumulation_steps", _default("gradient_accumulation_steps")))
    tokens = steps * accumulated * batch * statistics.fmean(len(row.ids) for row in rows)
    compiled = training.compile is True or (training.compile == "auto" and worth_compiling(model, tokens))
    size = activation_size(model, compiled=compiled)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    given = args.get("gradient_checkpointing", args.get("activation_checkpointing"))
    fit = fitting(
        model,
        size,
        rows,
        batch=batch,
        free=gpu_bytes - weights,
        checkpointing=given if method.recomputes else False,
    )
    seconds = None
    if speed is not None:
        usual = _usual(rows, batch // fit.parts)
        micro_batch = micro_batch_time(
            model,
            [len(row.ids) for row in usual],
            answers=sum(label != IGNORED for row in usual for label in row.labels),
            checkpointing=fit.checkpointing,
            compiled=compiled,
            gpu=speed,
        )
        seconds = steps * step_time(micro_batch, fit.parts * accumulated) + (COMPILING if compiled else 0.0)
    return TrainingEstimate(fit, fit.memory.total <= gpu_bytes, compiled, seconds)


def _usual(rows: Sequence[LabelledIds], n: int) -> list[LabelledIds]:
    """n rows whose lengths are those of all, evenly spaced from short to long."""
    by_length = sorted(rows, key=lambda row: len(row.ids))
    return [by_length[int((i + 0.5) * len(by_length) / n)] for i in range(n)]


def _default(name: str) -> Any:
    from trl import SFTConfig

    return SFTConfig.__dataclass_fields__[name].default

"""The memory of a training on a GPU, told from the config and the lengths of its rows, before weights are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sft.adapters import method_of
from sft.config.schema import ExperimentConfig
from sft.errors import ModelError, TrainingError
from sft.models.source import find_model
from sft.prompting.labelled import LabelledIds
from sft.training.fast.fit import Fit, fitting
from sft.training.fast.memory import activation_size


@dataclass(frozen=True)
class TrainingEstimate:
    """fit: into how many parts a batch is divided, whether layers are computed again, and the memory that takes.

    fits: whether that is less than what there is.
    """

    fit: Fit
    fits: bool


def estimate_training(config: ExperimentConfig, rows: Sequence[LabelledIds], *, gpu_bytes: int) -> TrainingEstimate:
    """For flat batches of these rows on one GPU with so much free memory.

    config: with an adapter and a training. Raises `ModelError` where the model's config can't be read, and
    `TrainingError` for quantised models and adapters with vectors of their own, whose memory isn't estimated.
    """
    adapter, training = config.adapter_spec, config.training
    assert adapter is not None
    assert training is not None
    method = method_of(adapter)
    if config.model.quantization is not None:
        raise TrainingError("the memory of quantised models isn't estimated", "leave out model.quantization")
    if method.virtual_tokens(adapter.args):
        raise TrainingError(f"the memory of {adapter.method!r}, which isn't trained in flat batches, isn't estimated")
    with torch.device("meta"):
        model = method.wrap(_empty(config), adapter.args)
    size = activation_size(model, compiled=training.compile is True)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    given = training.trainer_args.get("gradient_checkpointing", training.trainer_args.get("activation_checkpointing"))
    fit = fitting(
        model,
        size,
        rows,
        batch=int(training.trainer_args.get("per_device_train_batch_size", _default_batch())),
        free=gpu_bytes - weights,
        checkpointing=given if method.recomputes else False,
    )
    return TrainingEstimate(fit, fit.memory.total <= gpu_bytes)


def _empty(config: ExperimentConfig) -> Any:
    """The model of the config, without data."""
    from transformers import AutoConfig, AutoModelForCausalLM

    source, args = find_model(config.model), config.model.model_args
    trust = bool(args.get("trust_remote_code", False))
    try:
        found = AutoConfig.from_pretrained(source.base, trust_remote_code=trust)
    except (OSError, ValueError) as error:
        raise ModelError(f"can't read the config of the model {source.base!r}: {error}") from error
    if getattr(found, "quantization_config", None) is not None:
        raise TrainingError(f"the memory of quantised models isn't estimated, and {source.base!r} is one")
    named = args.get("dtype", args.get("torch_dtype", "auto"))
    dtype = found.dtype if named == "auto" else getattr(torch, str(named))
    return AutoModelForCausalLM.from_config(found, dtype=dtype or torch.float32, trust_remote_code=trust)


def _default_batch() -> int:
    from trl import SFTConfig

    return int(SFTConfig.__dataclass_fields__["per_device_train_batch_size"].default)

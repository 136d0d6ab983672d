"""The memory of a training on a GPU, told from the config and the lengths of its rows, before weights are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sft.adapters import method_of
from sft.config.schema import ExperimentConfig, ModelConfig
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
    architecture = architecture_of(config.model)
    if getattr(architecture, "quantization_config", None) is not None:
        raise TrainingError(f"the memory of quantised models isn't estimated, and {config.model.name!r} is one")
    with torch.device("meta"):
        model = method.wrap(empty_model(config.model, architecture), adapter.args)
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


def architecture_of(config: ModelConfig) -> Any:
    """The transformers config of a model. Raises `ModelError` where it can't be read."""
    from transformers import AutoConfig

    base = find_model(config).base
    try:
        return AutoConfig.from_pretrained(base, trust_remote_code=_trusts(config))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"can't read the config of the model {base!r}: {error}",
            "check model.name; offline, only local folders and cached hub models work",
        ) from error


def empty_model(config: ModelConfig, architecture: Any) -> Any:
    """The model without data, as if its weights weren't quantised; to be called under `torch.device("meta")`."""
    from transformers import AutoModelForCausalLM

    args = config.model_args
    named = args.get("dtype", args.get("torch_dtype", "auto"))
    dtype = architecture.dtype if named == "auto" else getattr(torch, str(named))
    return AutoModelForCausalLM.from_config(
        architecture, dtype=dtype or torch.float32, trust_remote_code=_trusts(config)
    )


def _trusts(config: ModelConfig) -> bool:
    return bool(config.model_args.get("trust_remote_code", False))


def _default_batch() -> int:
    from trl import SFTConfig

    return int(SFTConfig.__dataclass_fields__["per_device_train_batch_size"].default)

"""`training.trainer_args` → TRL's `SFTConfig`: what we own, what we default, what the library refuses."""

from __future__ import annotations

import dataclasses
import logging
import types
import typing
from pathlib import Path
from typing import Any

import torch

from sft.config.schema import ExperimentConfig
from sft.errors import ConfigError, Problem, TrainingError
from sft.tracking import trackers_asked

logger = logging.getLogger(__name__)

# Prompts are tokenised here, with the mask by construction, so these have nothing left to act on.
WITHOUT_EFFECT = {
    "assistant_only_loss": "only answers are in the loss already",
    "chat_template_path": "use model.chat_template_from",
    "dataset_kwargs": "prompts are tokenised before the trainer sees them",
    "dataset_text_field": "prompts are built from prompting.input_columns",
    "eos_token": "answers end with the format's own end-of-turn token",
    "model_init_kwargs": "use model.model_args",
    "pad_token": "padding is masked, any token serves",
    "trust_remote_code": "use model.model_args.trust_remote_code",
    "truncation_mode": "prompts are made to fit, answers are never cut by the trainer",
    "resume_from_checkpoint": "use the flag --resume",
}

# TRL takes smaller values and then trains for no step, or fails deep inside torch.
_MINIMA = {
    "gradient_accumulation_steps": 1,
    "learning_rate": 0,
    "max_length": 1,
    "per_device_train_batch_size": 1,
}


def trainer_config(config: ExperimentConfig, output_dir: Path, *, keep_checkpoints: bool, smaller: int = 1) -> Any:
    """The `SFTConfig` of a run. `trainer_args` win over every default here.

    keep_checkpoints: False where nobody can resume from `output_dir`. smaller: what batches are divided by, because
    memory ran out; gradients of as many more are then accumulated for a step. Raises `ConfigError` for values that the
    installed TRL refuses.
    """
    from trl import SFTConfig

    assert config.training is not None
    given = dict(config.training.trainer_args)
    for name in sorted(given.keys() & WITHOUT_EFFECT.keys()):
        logger.warning("training.trainer_args.%s has no effect: %s", name, WITHOUT_EFFECT[name])
        del given[name]
    problems = _wrong_types(SFTConfig, given) or _too_small(given)
    if problems:
        raise ConfigError("training.trainer_args", problems)
    args: dict[str, Any] = {
        "seed": config.seed_for("train"),
        "data_seed": config.seed_for("train"),
        # Otherwise the loss of a diverged training is reported as the mean of the losses before.
        "logging_nan_inf_filter": False,
    }
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        args |= {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}
    if not keep_checkpoints:
        args["save_strategy"] = "no"
    args |= {**given, "report_to": trackers_asked(config).others or "none"}
    if "activation_checkpointing" in {field.name for field in dataclasses.fields(SFTConfig)}:
        # transformers 5.23 renamed it; TRL 1.16's default still has the old name and would warn.
        args.setdefault("activation_checkpointing", args.pop("gradient_checkpointing", True))
        if "gradient_checkpointing_kwargs" in args:
            args.setdefault("activation_checkpointing_kwargs", args.pop("gradient_checkpointing_kwargs"))
    args["output_dir"] = str(output_dir)
    try:
        made = SFTConfig(**args)
        return made if smaller == 1 else smaller_batches(made, smaller)
    except (TypeError, ValueError, ImportError) as error:
        raise ConfigError("training.trainer_args", [Problem("", f"TRL refuses them: {error}")]) from error


def smaller_batches(args: Any, smaller: int) -> Any:
    """`args`, with as many rows for a step: the batch is divided by its smallest divisor that is large enough.

    Raises `TrainingError` where there is none.
    """
    rows = args.per_device_train_batch_size
    divisor = next((d for d in range(smaller, rows + 1) if rows % d == 0), None)
    if divisor is None:
        raise TrainingError(
            f"memory ran out, and a batch of {rows} can't be divided by {smaller}",
            "turn on training.trainer_args.gradient_checkpointing, or take shorter prompts or a smaller model",
        )
    args.per_device_train_batch_size = rows // divisor
    args.gradient_accumulation_steps *= divisor
    return args


def _wrong_types(cls: Any, given: dict[str, Any]) -> list[Problem]:
    """Values of plain types (numbers, texts, true/false) that can't be what the field is declared to be."""
    hints = typing.get_type_hints(cls)
    problems = []
    for name, value in given.items():
        allowed = _plain_types(hints.get(name))
        if allowed and not _is_instance(value, allowed):
            names = " or ".join("null" if t is type(None) else t.__name__ for t in allowed)
            problems.append(Problem(f"training.trainer_args.{name}", f"must be {names}, got {value!r}"))
    return problems


def _too_small(given: dict[str, Any]) -> list[Problem]:
    problems = [
        Problem(f"training.trainer_args.{name}", f"must be at least {minimum}, got {given[name]!r}")
        for name, minimum in _MINIMA.items()
        if given.get(name) is not None and given[name] < minimum
    ]
    epochs = given.get("num_train_epochs")
    if epochs is not None and epochs <= 0 and given.get("max_steps", -1) <= 0:
        problems.append(Problem("training.trainer_args.num_train_epochs", f"must be above 0, got {epochs!r}"))
    return problems


def _plain_types(hint: Any) -> tuple[type, ...]:
    """(int, NoneType) for `int | None`; empty for hints with anything but int, float, bool and None in them.

    Fields that take a text are left to the library, which parses many things from texts.
    """
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return tuple(parts) if all(part in (int, float, bool, type(None)) for part in parts) else ()


def _is_instance(value: Any, allowed: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in allowed
    return isinstance(value, allowed) or (float in allowed and isinstance(value, int))

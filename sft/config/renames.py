"""Old names of keys, which older configs and tutorials still use: mapped with a warning."""

from __future__ import annotations

import copy
import logging
from typing import Any

logger = logging.getLogger(__name__)

TRAINER_ARG_RENAMES = {
    "max_seq_length": "max_length",
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "warmup_ratio": "warmup_steps",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
}
_DROPPED_TRAINER_ARGS = {
    "overwrite_output_dir": "use the flag --overwrite of `train`",
    "group_by_length": "use trainer_args.train_sampling_strategy",
    "save_safetensors": "adapters are always saved as safetensors",
}


def rename_old_keys(value: dict[str, Any]) -> dict[str, Any]:
    """A copy of a config's values with old names replaced. A key given under both names keeps the new one's value."""
    value = copy.deepcopy(value)
    training = _section(value, "training")
    _rename_trainer_args(_section(training, "trainer_args"), "training.trainer_args")
    _rename_trainer_args(_section(_section(training, "select"), "grid"), "training.select.grid")
    inference = _section(value, "inference")
    if "tokenizer_name" in inference:
        logger.warning("inference.tokenizer_name is now called evaluation.tokenizer_name")
        tokenizer_name = inference.pop("tokenizer_name")
        if isinstance(value.setdefault("evaluation", {}), dict):
            value["evaluation"].setdefault("tokenizer_name", tokenizer_name)
    return value


def _rename_trainer_args(args: dict[str, Any], key: str) -> None:
    for old, new in TRAINER_ARG_RENAMES.items():
        if old in args:
            logger.warning("%s.%s is now called %s", key, old, new)
            args.setdefault(new, args.pop(old))
            args.pop(old, None)
    for old, instead in _DROPPED_TRAINER_ARGS.items():
        if old in args:
            logger.warning("%s.%s no longer exists and is left out: %s", key, old, instead)
            del args[old]


def _section(value: dict[str, Any], name: str) -> dict[str, Any]:
    section = value.get(name)
    return section if isinstance(section, dict) else {}

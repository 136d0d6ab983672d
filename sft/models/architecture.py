"""What a model is before it has weights: its transformers config, and its modules without data."""

from __future__ import annotations

from typing import Any

import torch

from sft.config.schema import ModelConfig
from sft.errors import ModelError
from sft.models.source import find_model
from sft.models.tokenizer import whereabouts


def architecture_of(config: ModelConfig, base: str | None = None) -> Any:
    """The transformers config of a model. base: its folder or hub name, if that is known already.

    Raises `ModelError` where it can't be read.
    """
    from transformers import AutoConfig

    base = find_model(config).base if base is None else base
    try:
        return AutoConfig.from_pretrained(base, **whereabouts(config))
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
    trusts = bool(args.get("trust_remote_code", False))
    return AutoModelForCausalLM.from_config(architecture, dtype=dtype or torch.float32, trust_remote_code=trusts)

"""LoRA (Hu et al. 2021, arXiv 2106.09685) through PEFT, with initialisations of our registry or PEFT's own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from sft.adapters.base import adapter_registry
from sft.errors import SftError


@adapter_registry.register("lora")
def lora(model: Any, args: Mapping[str, Any]) -> Any:
    """args: everything that the installed `peft.LoraConfig` takes.

    `init_lora_weights` may also name an entry of `initializer_registry`, which then replaces PEFT's of that name.
    """
    from peft import LoraConfig, get_peft_model

    from sft.initialization.apply import initialize_lora
    from sft.initialization.initializers import initializer_registry

    args = {"task_type": "CAUSAL_LM", **args}
    initialization = args.get("init_lora_weights", True)
    own = isinstance(initialization, str) and initialization in initializer_registry
    if own:
        args["init_lora_weights"] = True
    try:
        with warnings.catch_warnings():
            # Layers that store their weight transposed (GPT-2's) need it, and PEFT sets it itself.
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
            wrapped = get_peft_model(model, LoraConfig(**args))
    except (TypeError, ValueError, KeyError, ImportError, NotImplementedError) as error:
        raise SftError(
            f"lora: PEFT refuses the arguments: {error}", "see the documentation of peft.LoraConfig"
        ) from error
    if own:
        initialize_lora(wrapped, initializer_registry[initialization])
    return wrapped

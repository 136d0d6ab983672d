"""Every other adapter of the installed PEFT, by name: known to train on a small model, and no more."""

from __future__ import annotations

from sft.adapters.base import adapter_registry
from sft.adapters.peft_method import peft_method
from sft.config.peft_source import peft_methods

REFUSED = {
    "adaption_prompt": "PEFT's wrapper of it hides what TRL computes the loss from",
    "cpt": "its loss needs to know which tokens of a prompt are input, format and label (`input_type_mask`)",
    "multitask_prompt_tuning": "it is for several tasks at once, and wants a task id with every row",
    "poly": "it is for several tasks at once, and wants a task id with every row",
    "xlora": "it mixes LoRA adapters that were trained before, and those are no part of a config",
}
"""Methods of PEFT that can't be trained here, with the reason."""


def register_the_rest() -> None:
    """Register what has no class of its own and isn't refused."""
    for name in sorted(peft_methods().keys() - adapter_registry.keys() - REFUSED.keys()):
        adapter_registry[name] = peft_method(name, experimental=True, starts_at_base=False)

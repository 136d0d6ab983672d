"""Adapters as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft.config.schema import MethodConfig
from sft.training.attach import attach


def with_lora(model: Any, args: Mapping[str, Any], **more: Any) -> Any:
    """The model with a LoRA adapter, as at the first step of a training. more: as for `attach`."""
    attached = attach(model, MethodConfig(method="lora", args=dict(args)), **more)
    attached.start()
    return attached.model

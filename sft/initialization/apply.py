"""Putting an initializer's factors into a LoRA model."""

from __future__ import annotations

from typing import Any

import torch

from sft.initialization.initializers.base import Initializer
from sft.progress import progress


def initialize_lora(model: Any, initializer: Initializer, adapter_name: str = "default") -> None:
    """Overwrite the factors of every LoRA layer that holds the adapter."""
    from peft.tuners.lora import LoraLayer

    layers = [m for m in model.modules() if isinstance(m, LoraLayer) and adapter_name in m.lora_A]
    for layer in progress(layers, "initialising adapters"):
        a, b = layer.lora_A[adapter_name].weight, layer.lora_B[adapter_name].weight
        factors = initializer(layer.get_base_layer(), layer.r[adapter_name], dtype=a.dtype)
        with torch.no_grad():
            a.copy_(factors["lora_A"])
            b.copy_(factors["lora_B"])

"""GPTQ checkpoints, and GPTQ done when the model is loaded, through GPTQModel and optimum."""

from __future__ import annotations

from typing import Any

from sft.models.quantized.awq import INSTALL_GPTQMODEL
from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry


class Gptq(QuantizedKind):
    """With the kernel in plain torch, for the reasons that AWQ has."""

    config_class = "GPTQConfig"
    packages = ("gptqmodel", "optimum")
    install = INSTALL_GPTQMODEL
    cpu_dtype = "float32"

    def arguments(self, args: Settings) -> dict[str, Any]:
        return {"backend": "torch", **args}

    def loading_arguments(self, settings: Settings) -> dict[str, Any]:
        return {"bits": settings["bits"], "backend": "torch"}

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        return {**super().describe(settings, layer), "type": "gptq", "act_order": bool(settings.get("desc_act", False))}


quantized_registry["gptq"] = Gptq()

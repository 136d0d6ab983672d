"""AWQ checkpoints, through GPTQModel."""

from __future__ import annotations

from typing import Any

from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry

# Several steps, so a hint rather than a command: docs/dependencies.md has the whole of it.
INSTALL_GPTQMODEL = "pip install 'supervised-finetuning[gptq]' (it may replace torch: see docs/dependencies.md)"


class Awq(QuantizedKind):
    """Others of GPTQModel's kernels repack their buffers at the first forward or give wrong gradients after one.

    So the one in plain torch is used on every device, in training and without, and a run's numbers don't depend on it.
    """

    config_class = "AwqConfig"
    packages = ("gptqmodel", "optimum")
    install = INSTALL_GPTQMODEL
    cpu_dtype = "float32"

    def loading_arguments(self, settings: Settings) -> dict[str, Any]:
        return {"backend": "torch_awq"}

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        bits = settings.get("bits", settings.get("w_bit", 4))
        return {"bits": bits, "type": "awq", "group_size": settings.get("group_size", settings.get("q_group_size"))}


quantized_registry["awq"] = Awq()

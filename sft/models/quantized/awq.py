"""AWQ checkpoints, through GPTQModel."""

from __future__ import annotations

from typing import Any

from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry
from sft.models.quantized.layers import quantised_layers

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

    def guard(self, model: Any, asked: Settings) -> None:
        """Keep the layers from rounding their scales, for good, to the type of whatever they are given.

        Mixed precision gives bfloat16 to a model in float16; the forward itself needs no scales of that type.
        """
        for _, layer in quantised_layers(model):
            if type(layer).__name__ == "AwqTorchLinear":
                layer._ensure_runtime_dtype = _leave_as_is

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        bits = settings.get("bits", settings.get("w_bit", 4))
        return {"bits": bits, "type": "awq", "group_size": settings.get("group_size", settings.get("q_group_size"))}


def _leave_as_is(**kwargs: Any) -> None:
    pass


quantized_registry["awq"] = Awq()

"""compressed-tensors checkpoints (LLM Compressor): integers or floats of few bits, activations perhaps rounded too."""

from __future__ import annotations

from typing import Any

from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry
from sft.models.quantized.layers import quantised_layers


class CompressedTensors(QuantizedKind):
    """Dequantised when loaded.

    transformers would do so at the first forward anyway, so nothing is lost; and where activations are rounded too
    (W8A8), rounding would pass no gradient. A server's scores of such a model differ by that rounding.
    """

    config_class = "CompressedTensorsConfig"
    packages = ("compressed_tensors",)
    install = "pip install 'supervised-finetuning[compressed-tensors]'"
    cpu_dtype = "float32"

    def loading_arguments(self, settings: Settings) -> dict[str, Any]:
        return {"dequantize": True}

    def guard(self, model: Any, asked: Settings) -> None:
        """Make dequantised layers ordinary ones, as transformers 5.23 does.

        5.17 leaves the forward that rounds activations on them, and with that no gradient.
        """
        from compressed_tensors.quantization import QuantizationMetadata, QuantizationStatus

        for _, layer in quantised_layers(model):
            if getattr(layer, "quantization_status", None) == QuantizationStatus.DECOMPRESSED:
                QuantizationMetadata.clear_quantization(layer)
                del layer.quantization_status

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        groups = [group for group in (settings.get("config_groups") or {}).values() if isinstance(group, dict)]
        weights = [group.get("weights") or {} for group in groups]
        return {
            "bits": _one_or_all([w.get("num_bits") for w in weights]),
            "type": _one_or_all([w.get("type") for w in weights]),
            "group_size": _one_or_all([w.get("group_size") for w in weights]),
            "format": settings.get("format"),
            "rounds_activations": any(group.get("input_activations") for group in groups),
        }


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else values


quantized_registry["compressed-tensors"] = CompressedTensors()

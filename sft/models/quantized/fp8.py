"""Checkpoints in 8-bit floats with a scale per block (DeepSeek, Qwen3-FP8), and the same made when loading."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from sft.errors import MissingPackageError, ModelError
from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry


class FineGrainedFp8(QuantizedKind):
    config_class = "FineGrainedFP8Config"

    def check(self, settings: Settings, *, prequantised: bool) -> None:
        if not prequantised and not torch.cuda.is_available():
            raise ModelError(
                "model.quantization: FineGrainedFP8Config makes 8-bit floats on a GPU, and this machine has none",
                "use BitsAndBytesConfig with load_in_8bit, or TorchAoConfig, which run on a CPU",
            )
        if not prequantised and not _has_kernels():
            raise MissingPackageError("kernels", "what FineGrainedFP8Config makes", "pip install kernels")

    def loading_arguments(self, settings: Settings) -> dict[str, Any]:
        """Without a GPU and its kernels, which come from the hub, a checkpoint can only be dequantised."""
        return {} if torch.cuda.is_available() and _has_kernels() else {"dequantize": True}

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        return {"bits": 8, "type": "float8_e4m3fn", "group_size": settings.get("weight_block_size")}


def _has_kernels() -> bool:
    return importlib.util.find_spec("kernels") is not None


quantized_registry["fp8"] = FineGrainedFp8()

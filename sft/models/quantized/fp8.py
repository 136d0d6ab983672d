"""Checkpoints in 8-bit floats with a scale per block (DeepSeek, Qwen3-FP8), and the same made when loading."""

from __future__ import annotations

from typing import Any

import torch

from sft.errors import ModelError
from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry


class FineGrainedFp8(QuantizedKind):
    config_class = "FineGrainedFP8Config"

    def check(self, settings: Settings, *, prequantised: bool) -> None:
        if not prequantised and not torch.cuda.is_available():
            raise ModelError(
                "model.quantization: FineGrainedFP8Config makes 8-bit floats on a GPU, and this machine has none",
                "use BitsAndBytesConfig with load_in_8bit, or TorchAoConfig, which run on a CPU",
            )

    def loading_arguments(self, settings: Settings) -> dict[str, Any]:
        """Without a GPU a checkpoint can only be dequantised, which transformers does too, but with a warning."""
        return {} if torch.cuda.is_available() else {"dequantize": True}

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        return {"bits": 8, "type": "float8_e4m3fn", "group_size": settings.get("weight_block_size")}


quantized_registry["fp8"] = FineGrainedFp8()

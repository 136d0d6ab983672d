"""bitsandbytes: 8 or 4 bits, made when the model is loaded or stored in the checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sft.errors import ModelError
from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry


class BitsAndBytes(QuantizedKind):
    config_class = "BitsAndBytesConfig"
    packages = ("bitsandbytes",)
    install = "pip install 'supervised-finetuning[quantization]'"

    def guard(self, model: Any, asked: Settings) -> None:
        layers = [module for module in model.modules() if hasattr(module, "support_avx512bf16_for_cpu")]
        keep_weights_unpacked(layers)
        _check_cpu_kernel(layers)
        _compute_in_the_models_type(model, layers, asked)

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        state = getattr(getattr(layer, "weight", None), "quant_state", None)
        if state is None:
            return {"bits": 8, "type": "int8", "group_size": None}
        return {
            "bits": 4,
            "type": state.quant_type,
            "group_size": state.blocksize,
            "double": bool(state.nested),
            "compute_dtype": str(layer.compute_dtype).removeprefix("torch."),
        }


quantized_registry["bitsandbytes"] = BitsAndBytes()


def keep_weights_unpacked(layers: list[Any]) -> None:
    """Stop 4-bit layers from repacking their weights in place at the first evaluation forward on an AVX512-BF16 CPU.

    After that repacking, dequantisation returns garbage and LoRA gradients are wrong, so that training after an
    evaluation is silently corrupted (bitsandbytes 0.50).
    """
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False


def _check_cpu_kernel(layers: list[Any]) -> None:
    """Raise `ModelError` where the CPU kernel misreads weights, as it silently does for rows of 32 more than a
    multiple of the block size (bitsandbytes 0.50).
    """
    widths: dict[int, Any] = {}
    for layer in layers:
        state = getattr(layer.weight, "quant_state", None)
        if state is not None and layer.weight.device.type == "cpu" and layer.in_features % state.blocksize:
            widths.setdefault(layer.in_features, layer)
    for width, layer in widths.items():
        if not _reads_right(layer.weight):
            raise ModelError(
                f"bitsandbytes' CPU kernel misreads 4-bit layers of {width} inputs, no multiple of "
                f"{layer.weight.quant_state.blocksize}",
                "use load_in_8bit, or a GPU",
            )


def _reads_right(weight: Any) -> bool:
    from bitsandbytes.functional import dequantize_4bit

    found, expected = dequantize_4bit(weight.data, weight.quant_state).float(), _dequantised_by_hand(weight)
    return bool((found - expected).norm() <= 0.02 * expected.norm())


def _dequantised_by_hand(weight: Any) -> Tensor:
    """By the definition: a code's value times the scale of its block. Two codes a byte, the first in the high bits."""
    from bitsandbytes.functional import dequantize_blockwise

    state = weight.quant_state
    scales = state.absmax
    if state.nested:
        scales = dequantize_blockwise(state.absmax, state.state2) + state.offset
    data = weight.data.view(torch.uint8).flatten()
    codes = torch.stack([data >> 4, data & 0xF], dim=1).flatten()[: state.shape.numel()]
    values: Tensor = state.code[codes.long()].float()
    values = values * scales.float().repeat_interleave(state.blocksize)[: values.numel()]
    return values.reshape(state.shape)


def _compute_in_the_models_type(model: Any, layers: list[Any], asked: Settings) -> None:
    """Multiply 4-bit weights in the type that the model runs in, unless the config or the checkpoint chose another.

    transformers' default is float32, whatever the model's type: several times slower on a GPU, and never wanted where
    the rest runs in 16 bits. A checkpoint that says float32 says it by that default.
    """
    chosen = asked.get("bnb_4bit_compute_dtype")
    for layer in layers:
        if chosen is not None:
            layer.compute_dtype = getattr(torch, chosen) if isinstance(chosen, str) else chosen
        elif layer.compute_dtype in (None, torch.float32):
            layer.compute_dtype = model.dtype
        layer.compute_type_is_set = True

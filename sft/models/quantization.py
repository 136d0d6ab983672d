"""Quantised loading: from `model.quantization` to a transformers quantization config, and known traps closed."""

from __future__ import annotations

from typing import Any

from sft.config.schema import QuantizationConfig
from sft.errors import SftError


def quantization_config(config: QuantizationConfig) -> Any:
    """The transformers object that a config names. Only quantization configs of transformers can be named."""
    import transformers
    from transformers.utils.quantization_config import QuantizationConfigMixin

    quantization_class = getattr(transformers, config.config_class, None)
    if not (isinstance(quantization_class, type) and issubclass(quantization_class, QuantizationConfigMixin)):
        raise SftError(
            f"model.quantization.config_class: {config.config_class!r} is no quantization config of transformers",
            "see `sft config schema`",
        )
    try:
        return quantization_class(**config.args)
    except (TypeError, ValueError, ImportError) as error:
        raise SftError(f"model.quantization.args: {config.config_class} refuses them: {error}") from error


def keep_4bit_weights_unpacked(model: Any) -> None:
    """Stop bitsandbytes from repacking 4-bit weights in place at the first evaluation forward on an AVX512-BF16 CPU.

    After that repacking, dequantisation returns garbage and LoRA gradients are wrong, so that training after an
    evaluation is silently corrupted (bitsandbytes 0.50).
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False

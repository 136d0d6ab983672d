"""torchao: weights of several types, made when the model is loaded or stored in the checkpoint."""

from __future__ import annotations

import logging
from typing import Any

import torch

from sft.errors import SftError
from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry

logger = logging.getLogger(__name__)

_WIDTH = 1024  # a multiple of every block and group


class TorchAo(QuantizedKind):
    """In the checkpoint's own type: an 8-bit float weight multiplies only what has the type it was made from."""

    config_class = "TorchAoConfig"
    packages = ("torchao",)
    install = "pip install 'supervised-finetuning[torchao]'"

    def arguments(self, args: Settings) -> dict[str, Any]:
        """`quant_type` may be the name of one of torchao's configs, or torchao's own JSON form of one."""
        return {**args, "quant_type": _torchao_config(args.get("quant_type"))}

    def why_not(self, args: Settings) -> Exception | None:
        """Tried on a layer: transformers only says that converting weights failed, and prints why."""
        from torchao.quantization import quantize_

        device = "cuda" if torch.cuda.is_available() else "cpu"
        layer = torch.nn.Linear(_WIDTH, _WIDTH, dtype=torch.bfloat16, device=device)
        try:
            quantize_(layer, _torchao_config(args.get("quant_type")))
        except Exception as error:  # noqa: BLE001 - torchao raises whatever its kernels raise
            return error
        return None

    def guard(self, model: Any, asked: Settings) -> None:
        """Say that activations are rounded, which no dequantised weight shows."""
        names = {_type_name(asked.get("quant_type")), _type_name(_stored_type(model))}
        for name in sorted(name for name in names if name and "Activation" in name):
            logger.warning(
                "%s rounds what goes into every layer too: scores are further from those of full precision than the "
                "weights are",
                name,
            )

    def describe(self, settings: Settings, layer: Any) -> dict[str, Any]:
        quant_type = _type_name(settings.get("quant_type"))
        weight = getattr(layer, "weight", None)
        values = getattr(weight, "qdata", None)
        bits = None if values is None else getattr(weight, "target_dtype", values.dtype).itemsize * 8
        block = getattr(weight, "block_size", None)
        return {"bits": bits, "type": quant_type, "group_size": None if block is None else int(block[-1])}


def _stored_type(model: Any) -> Any:
    """What the checkpoint says, or what was made when loading."""
    config = getattr(getattr(model, "config", None), "quantization_config", None)
    return getattr(config, "quant_type", None)


def _type_name(quant_type: Any) -> str | None:
    """Of torchao's config, from its name, its JSON form, or itself."""
    if isinstance(quant_type, dict):
        quant_type = quant_type.get("default", quant_type).get("_type")
    return quant_type if isinstance(quant_type, str) or quant_type is None else type(quant_type).__name__


def _torchao_config(value: Any) -> Any:
    import torchao.quantization
    from torchao.core.config import AOBaseConfig, config_from_dict

    key = "model.quantization.args.quant_type"
    try:
        if isinstance(value, dict):
            return config_from_dict(value)
        found = getattr(torchao.quantization, str(value), None)
        if isinstance(found, type) and issubclass(found, AOBaseConfig):
            return found()
    except (TypeError, ValueError, KeyError) as error:
        raise SftError(f"{key}: torchao refuses {value!r}: {error}") from error
    names = sorted(name for name in dir(torchao.quantization) if name.endswith("Config"))
    raise SftError(
        f"{key}: {value!r} is no config of torchao.quantization",
        f'known: {", ".join(names)}; with arguments: {{"_type": name, "_version": 2, "_data": {{…}}}}',
    )


quantized_registry["torchao"] = TorchAo()

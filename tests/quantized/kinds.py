"""Kinds of quantised weights that run on CPUs and GPUs: how to get a small model of each, what its record must say."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from tests.quantised_models import LINEAR_LAYERS, save_awq_model, save_gptq_model, save_wide_model

Section = dict[str, Any]


class Kind(NamedTuple):
    """make: writes into a folder and returns the `model` section of a config. weights: largest relative error of a
    weight against the model before quantisation. record: what describe() says beside `method`.
    """

    name: str
    package: str
    make: Callable[[Path], Section]
    weights: float
    record: dict[str, Any]


def bitsandbytes(args: dict[str, Any]) -> Callable[[Path], Section]:
    def make(folder: Path) -> Section:
        quantization = {"config_class": "BitsAndBytesConfig", "args": args}
        return {"name": str(save_wide_model(folder, dtype=torch.bfloat16)), "quantization": quantization}

    return make


def torchao(quant_type: Any) -> Callable[[Path], Section]:
    def make(folder: Path) -> Section:
        quantization = {"config_class": "TorchAoConfig", "args": {"quant_type": quant_type}}
        return {"name": str(save_wide_model(folder, dtype=torch.bfloat16)), "quantization": quantization}

    return make


def stored(make: Callable[[Path], Section]) -> Callable[[Path], Section]:
    """The same weights, as a checkpoint that is quantised already."""

    def make_and_save(folder: Path) -> Section:
        from tests.unit.models.test_load import load

        section = make(folder / "full")
        loaded = load(section["name"], quantization=section["quantization"])
        loaded.model.save_pretrained(folder / "stored")
        loaded.tokenizer.save_pretrained(folder / "stored")
        return {"name": str(folder / "stored")}

    return make_and_save


def compressed(scheme: str) -> Callable[[Path], Section]:
    def make(folder: Path) -> Section:
        from compressed_tensors.compressors import ModelCompressor
        from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
        from compressed_tensors.quantization.utils import calculate_qparams

        from tests.fakes import byte_tokenizer
        from tests.quantised_models import wide_model

        model = wide_model().to(torch.bfloat16)
        apply_quantization_config(model, QuantizationConfig(config_groups={scheme: ["Linear"]}, ignore=["lm_head"]))
        for layer in model.modules():
            if hasattr(layer, "weight_scale"):
                args = layer.quantization_scheme.weights
                grouped = layer.weight.detach().reshape(layer.weight.shape[0], -1, args.group_size or layer.in_features)
                scale, _ = calculate_qparams(grouped.amin(dim=-1), grouped.amax(dim=-1), args)
                layer.weight_scale.data.copy_(scale)
        compressor = ModelCompressor.from_pretrained_model(model)
        compressor.compress_model(model)
        model.save_pretrained(folder)
        compressor.update_config(str(folder))
        byte_tokenizer().save_pretrained(folder)
        return {"name": str(folder)}

    return make


def awq(folder: Path) -> Section:
    save_awq_model(folder)
    return {"name": str(folder)}


def gptq(bits: int, checkpoint_format: str) -> Callable[[Path], Section]:
    def make(folder: Path) -> Section:
        save_gptq_model(folder, bits, checkpoint_format)
        return {"name": str(folder)}

    return make


NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
_NF4_RECORD = {"bits": 4, "type": "nf4", "group_size": 64, "double": False, "compute_dtype": "bfloat16"}
_LAYERS = {"layers": LINEAR_LAYERS}

_KINDS = [
    Kind("int8", "bitsandbytes", bitsandbytes({"load_in_8bit": True}), 0.02,
         {"bits": 8, "type": "int8", "backend": "Linear8bitLt", **_LAYERS}),
    Kind("int8-stored", "bitsandbytes", stored(bitsandbytes({"load_in_8bit": True})), 0.02,
         {"bits": 8, "prequantised": True, "backend": "Linear8bitLt", **_LAYERS}),
    Kind("nf4", "bitsandbytes", bitsandbytes(NF4), 0.12,
         {**_NF4_RECORD, "prequantised": False, "backend": "Linear4bit", **_LAYERS}),
    Kind("nf4-stored", "bitsandbytes", stored(bitsandbytes(NF4)), 0.12, {**_NF4_RECORD, "prequantised": True}),
    Kind("fp4-double", "bitsandbytes",
         bitsandbytes({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": True}), 0.2,
         {"bits": 4, "type": "fp4", "double": True, **_LAYERS}),
    Kind("torchao-int8", "torchao", torchao("Int8WeightOnlyConfig"), 0.02,
         {"bits": 8, "type": "Int8WeightOnlyConfig", "prequantised": False, "backend": "Linear", **_LAYERS}),
    Kind("torchao-int8-stored", "torchao", stored(torchao("Int8WeightOnlyConfig")), 0.02,
         {"bits": 8, "type": "Int8WeightOnlyConfig", "prequantised": True, **_LAYERS}),
    Kind("torchao-fp8", "torchao", torchao({"_type": "Float8WeightOnlyConfig", "_version": 2, "_data": {}}), 0.04,
         {"bits": 8, "type": "Float8WeightOnlyConfig", **_LAYERS}),
    Kind("compressed-W4A16", "compressed_tensors", compressed("W4A16"), 0.2,
         {"bits": 4, "type": "int", "rounds_activations": False, "prequantised": True, "layers": 0, "backend": None}),
    Kind("compressed-W8A8", "compressed_tensors", compressed("W8A8"), 0.02,
         {"bits": 8, "type": "int", "rounds_activations": True, "prequantised": True, "layers": 0}),
    Kind("compressed-FP8", "compressed_tensors", compressed("FP8_DYNAMIC"), 0.04,
         {"bits": 8, "type": "float", "rounds_activations": True, "layers": 0}),
    Kind("awq", "gptqmodel", awq, 0.12,
         {"bits": 4, "group_size": 32, "prequantised": True, "backend": "AwqTorchLinear", **_LAYERS}),
    Kind("gptq-4", "gptqmodel", gptq(4, "gptq"), 0.12,
         {"bits": 4, "group_size": 32, "act_order": True, "prequantised": True, "backend": "TorchLinear", **_LAYERS}),
    Kind("gptq-8-v2", "gptqmodel", gptq(8, "gptq_v2"), 0.02, {"bits": 8, "backend": "TorchLinear", **_LAYERS}),
]  # fmt: skip


def skip_without(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None, reason=f"{package} is not installed: `make test-quantized` does"
    )


def parametrised(*, of: Callable[[Kind], bool] = lambda kind: True) -> pytest.MarkDecorator:
    """All kinds that there are, or some."""
    chosen = [pytest.param(kind, id=kind.name, marks=skip_without(kind.package)) for kind in _KINDS if of(kind)]
    assert chosen
    return pytest.mark.parametrize("kind", chosen)

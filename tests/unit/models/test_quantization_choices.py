"""What is chosen for quantised weights where the config leaves it open, and what is refused before loading."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sft.config.schema import ModelConfig
from sft.errors import MissingPackageError, ModelError, SftError
from sft.models import quantization as quantization_module
from sft.models.load import LoadedModel
from sft.models.quantization import Quantization, find_quantization
from sft.models.quantized import quantised_layers
from sft.models.quantized.compressed_tensors import CompressedTensors
from sft.models.source import ModelSource
from tests.quantised_models import LINEAR_LAYERS, save_wide_model, wide_model
from tests.tiny_models import save_tiny_model
from tests.unit.models.test_load import load, on_cpu

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


def checkpoint(folder: Path, **quantization_config: Any) -> Path:
    """A folder whose config.json says how its weights, which nobody gets far enough to load, are quantised."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "llama", "quantization_config": quantization_config}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def found(base: Path | str, config_class: str | None = None, args: dict[str, Any] | None = None) -> Quantization | None:
    quantization = None if config_class is None else {"config_class": config_class, "args": args or {}}
    config = ModelConfig.model_validate({"name": str(base), "quantization": quantization})
    return find_quantization(config, ModelSource(str(base), None))


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization_module.importlib.util, "find_spec", lambda name: object())


def test_an_ordinary_checkpoint_is_not_quantised(tmp_path: Path) -> None:
    loaded = load(save_tiny_model(tmp_path))
    assert loaded.quantization is None
    assert loaded.describe()["quantization"] is None
    assert quantised_layers(loaded.model) == []


@pytest.mark.parametrize(
    ("method", "package"),
    [("awq", "gptqmodel"), ("gptq", "gptqmodel"), ("compressed-tensors", "compressed_tensors"), ("torchao", "torchao"),
     ("bitsandbytes", "bitsandbytes")],
)  # fmt: skip
def test_a_missing_package_is_named_before_anything_is_loaded(
    method: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=rf"{method} needs the package '{package}'(.|\n)*fix: pip install"):
        found(checkpoint(tmp_path, quant_method=method, bits=4))


def test_a_config_of_another_kind_than_the_checkpoint_is_refused(tmp_path: Path, everything_installed: None) -> None:
    base = checkpoint(tmp_path, quant_method="awq", bits=4)
    with pytest.raises(ModelError, match=r"BitsAndBytesConfig(.|\n)*by awq(.|\n)*or name AwqConfig"):
        found(base, "BitsAndBytesConfig", NF4)


def test_bitsandbytes_checkpoints_that_name_no_method_are_known(tmp_path: Path) -> None:
    quantization = found(checkpoint(tmp_path, load_in_4bit=True))
    assert quantization is not None
    assert (quantization.method, quantization.prequantised) == ("bitsandbytes", True)
    assert quantization.config() is None


def test_a_kind_without_a_file_here_is_left_to_transformers(tmp_path: Path) -> None:
    quantization = found(checkpoint(tmp_path, quant_method="vptq"))
    assert quantization is not None
    assert quantization.config() is None
    assert quantization.describe(nn.Linear(2, 2))["method"] == "vptq"


@pytest.mark.parametrize("asked", [{}, {"backend": "gemm"}])
def test_awq_runs_in_plain_torch_unless_the_config_chooses(
    asked: dict[str, Any], tmp_path: Path, everything_installed: None
) -> None:
    base = checkpoint(tmp_path, quant_method="awq", bits=4, group_size=32)
    quantization = found(base, "AwqConfig", asked) if asked else found(base)
    assert quantization is not None
    assert quantization.config().backend == asked.get("backend", "torch_awq")


@pytest.mark.parametrize("asked", [{}, {"bits": 8, "backend": "marlin"}])
def test_gptq_runs_in_plain_torch_unless_the_config_chooses(
    asked: dict[str, Any], tmp_path: Path, everything_installed: None
) -> None:
    base = checkpoint(tmp_path, quant_method="gptq", bits=8, group_size=32)
    quantization = found(base, "GPTQConfig", asked) if asked else found(base)
    assert quantization is not None
    assert quantization.config().backend == asked.get("backend", "torch")
    assert quantization.config().bits == 8


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_making_8_bit_floats_without_a_gpu_is_refused() -> None:
    with pytest.raises(ModelError, match=r"FineGrainedFP8Config(.|\n)*GPU"):
        found("no/such-model", "FineGrainedFP8Config")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_checkpoint_of_8_bit_floats_is_dequantised_without_a_gpu(tmp_path: Path) -> None:
    quantization = found(checkpoint(tmp_path, quant_method="fp8", weight_block_size=[128, 128]))
    assert quantization is not None
    assert quantization.config().dequantize is True


@pytest.mark.parametrize("kernels", [True, False])
def test_on_a_gpu_8_bit_floats_need_kernels_or_are_dequantised(
    kernels: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = checkpoint(tmp_path, quant_method="fp8", weight_block_size=[128, 128])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(quantization_module.importlib.util, "find_spec", lambda name: object() if kernels else None)
    stored = found(base)
    assert stored is not None
    if kernels:
        assert stored.kind.loading_arguments(stored.settings) == {}
        assert found("no/such-model", "FineGrainedFP8Config") is not None
        return
    assert stored.kind.loading_arguments(stored.settings) == {"dequantize": True}
    with pytest.raises(MissingPackageError, match="kernels"):
        found("no/such-model", "FineGrainedFP8Config")


@pytest.mark.parametrize("scheme", ["W4A16", "W8A8", "FP8_DYNAMIC"])
def test_dequantised_compressed_tensors_layers_are_ordinary_ones(scheme: str) -> None:
    """transformers 5.17 leaves on them what rounds activations, and passes no gradient."""
    pytest.importorskip("compressed_tensors", reason="compressed-tensors is not installed")
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config

    model = wide_model()
    weights = sum(parameter.numel() for parameter in model.parameters())
    config = QuantizationConfig(config_groups={scheme: ["Linear"]}, ignore=["lm_head"])
    apply_quantization_config(model, config)
    for layer in model.modules():
        if hasattr(layer, "weight_scale"):
            layer.weight_scale.data.fill_(0.01)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    compressor.decompress_model(model)
    assert len(quantised_layers(model)) == LINEAR_LAYERS
    CompressedTensors().guard(model, {})
    assert quantised_layers(model) == []
    assert sum(parameter.numel() for parameter in model.parameters()) == weights
    layer = model.model.layers[0].mlp.down_proj
    x = torch.randn(3, layer.in_features, requires_grad=True)
    torch.testing.assert_close(layer(x), x @ layer.weight.T)
    assert layer(x).requires_grad


def test_why_torchao_can_not_make_weights_is_said(tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    if importlib.util.find_spec("mslk") is not None:
        pytest.skip("the package that 4 bits need is installed")
    quantization = {"config_class": "TorchAoConfig", "args": {"quant_type": "Int4WeightOnlyConfig"}}
    with pytest.raises(ModelError, match=r"mslk(.|\n)*model\.quantization"):
        load(save_wide_model(tmp_path, dtype=torch.bfloat16), quantization=quantization)


def test_a_torchao_config_that_does_not_exist_is_refused() -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    quantization = found("no/such-model", "TorchAoConfig", {"quant_type": "int8_weight_only"})
    assert quantization is not None
    with pytest.raises(SftError, match=r"quant_type: 'int8_weight_only'(.|\n)*Int8WeightOnlyConfig"):
        quantization.config()


def nf4(base: Path, args: dict[str, Any] | None = None, **model_args: Any) -> LoadedModel:
    quantization = {"config_class": "BitsAndBytesConfig", "args": {**NF4, **(args or {})}}
    return load(base, quantization=quantization, model_args=model_args)


def compute_type(loaded: LoadedModel) -> Any:
    """The one of all layers, as the record has it."""
    types = {layer.compute_dtype for _, layer in quantised_layers(loaded.model)}
    assert len(types) == 1
    told = loaded.describe()["quantization"]["compute_dtype"]
    assert types == {getattr(torch, told)}
    return types.pop()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_4_bit_weights_are_multiplied_in_the_type_of_the_model(dtype: torch.dtype, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    base = save_wide_model(tmp_path, dtype=dtype)
    assert compute_type(nf4(base)) == dtype
    assert compute_type(nf4(base, dtype="bfloat16")) == torch.bfloat16


def test_the_config_may_choose_another_type_to_multiply_in(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    base = save_wide_model(tmp_path, dtype=torch.bfloat16)
    assert compute_type(nf4(base, {"bnb_4bit_compute_dtype": "float32"})) == torch.float32


@pytest.mark.parametrize(("stored", "expected"), [("float32", torch.bfloat16), ("float16", torch.float16)])
def test_a_stored_type_is_kept_unless_it_is_the_default(stored: str, expected: torch.dtype, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    loaded = nf4(save_wide_model(tmp_path / "full", dtype=torch.bfloat16), {"bnb_4bit_compute_dtype": stored})
    loaded.model.save_pretrained(tmp_path / "stored")
    loaded.tokenizer.save_pretrained(tmp_path / "stored")
    assert compute_type(load(tmp_path / "stored")) == expected
    chosen = {"config_class": "BitsAndBytesConfig", "args": {**NF4, "bnb_4bit_compute_dtype": "float32"}}
    assert compute_type(load(tmp_path / "stored", quantization=chosen)) == torch.float32


@on_cpu
@pytest.mark.parametrize("double", [False, True])
def test_widths_that_the_cpu_kernel_of_bitsandbytes_misreads_are_refused(double: bool, tmp_path: Path) -> None:
    """When this fails, bitsandbytes is mended and the check can go. The tiny model's layers have 32 inputs."""
    pytest.importorskip("bitsandbytes")
    with pytest.raises(ModelError, match=r"CPU kernel misreads 4-bit layers of 32 inputs, no multiple of 64"):
        nf4(save_tiny_model(tmp_path), {"bnb_4bit_use_double_quant": double})

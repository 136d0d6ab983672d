"""bitsandbytes weights: what is read is what the layer multiplies with, whether or not it has run before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sft.errors import SftError
from sft.initialization.utils import dequantize
from sft.models.load import main_device
from tests.quantised_models import save_wide_model, wide_model
from tests.unit.models.test_load import load

bnb = pytest.importorskip("bitsandbytes", reason="the extra `quantization` is not installed")

N_OUT, N_IN = 64, 128
DEVICE = main_device()


def quantised(kind: str, weight: torch.Tensor) -> Any:
    """A layer as transformers makes them. kind: int8, nf4, fp4, nf4-double or fp4-double."""
    if kind == "int8":
        layer = bnb.nn.Linear8bitLt(N_IN, N_OUT, bias=False, has_fp16_weights=False)
        layer.weight = bnb.nn.Int8Params(weight.clone(), requires_grad=False, has_fp16_weights=False)
    else:
        quant_type, _, double = kind.partition("-")
        layer = bnb.nn.Linear4bit(N_IN, N_OUT, bias=False, quant_type=quant_type, compute_dtype=torch.float32)
        layer.weight = bnb.nn.Params4bit(
            weight.clone(), requires_grad=False, quant_type=quant_type, compress_statistics=bool(double), module=layer
        )
        layer.support_avx512bf16_for_cpu = False
    return layer.to(DEVICE).eval()


@pytest.mark.parametrize("kind", ["int8", "nf4", "fp4", "nf4-double", "fp4-double"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_weight_is_what_the_layer_multiplies_with(kind: str, dtype: torch.dtype) -> None:
    weight = torch.randn(N_OUT, N_IN, generator=torch.Generator().manual_seed(0)).to(dtype)
    layer = quantised(kind, weight)
    before = dequantize(layer)
    assert before.dtype == torch.float32
    assert (before.cpu() - weight.float()).norm() / weight.float().norm() < (0.01 if kind == "int8" else 0.15)
    with torch.no_grad():
        by_forward = layer(torch.eye(N_IN, device=DEVICE)).T
    torch.testing.assert_close(dequantize(layer), before)  # int8: the scales are elsewhere now
    tolerance = 0.01 if kind == "int8" else 2e-3  # int8 rounds activations, 16-bit weights round the product
    assert ((by_forward - before).norm() / before.norm()).item() < tolerance


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_a_weight_that_is_not_quantised_yet_is_read_as_it_is(kind: str) -> None:
    layer = (
        bnb.nn.Linear4bit(N_IN, N_OUT) if kind == "nf4" else bnb.nn.Linear8bitLt(N_IN, N_OUT, has_fp16_weights=False)
    )
    assert torch.equal(dequantize(layer), layer.weight.data.float())


@pytest.mark.parametrize("args", [{"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, {"load_in_8bit": True}])
def test_gpt2s_transposed_weights_come_back_the_right_way_round(args: dict[str, Any], tmp_path: Path) -> None:
    """transformers replaces Conv1D by Linear and transposes. c_fc isn't square, so a wrong way round shows."""
    original = dict(wide_model("gpt2").named_modules())
    folder = save_wide_model(tmp_path, "gpt2")
    loaded = load(folder, quantization={"config_class": "BitsAndBytesConfig", "args": args})
    found = {n: m for n, m in loaded.model.named_modules() if isinstance(m, nn.Linear) and n != "lm_head"}
    assert len(found) == 8
    for name, layer in found.items():
        weight = dequantize(original[name])
        assert weight.shape == (layer.out_features, layer.in_features)
        assert (dequantize(layer).cpu() - weight).norm() / weight.norm() < 0.15, name


def test_a_repacked_weight_is_refused_rather_than_misread() -> None:
    layer = quantised("nf4", torch.randn(N_OUT, N_IN))
    layer.weight.quant_state.packing_format_for_cpu = True
    with pytest.raises(SftError, match="repacked"):
        dequantize(layer)

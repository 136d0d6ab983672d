"""compressed-tensors layers, compressed and after the first forward has decompressed them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sft.initialization.utils import dequantize

pytest.importorskip("compressed_tensors", reason="compressed-tensors is not installed")


def compressed(scheme: str) -> tuple[Any, torch.Tensor]:
    """A compressed layer, and the weight that it was made from."""
    from compressed_tensors.compressors import compress_module
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
    from compressed_tensors.quantization.utils import calculate_qparams

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(128, 64, bias=False))
    apply_quantization_config(model, QuantizationConfig(config_groups={scheme: ["Linear"]}))
    layer: Any = model[0]
    args, weight = layer.quantization_scheme.weights, layer.weight.detach().clone()
    grouped = weight.reshape(64, -1, args.group_size) if args.group_size else weight[:, None]
    low, high = grouped.amin(dim=-1), grouped.amax(dim=-1)
    if layer.weight_scale.numel() == 1:
        low, high = low.amin().reshape(1), high.amax().reshape(1)
    scale, zero = calculate_qparams(low, high, args)
    layer.weight_scale.data.copy_(scale)
    if hasattr(layer, "weight_zero_point"):
        layer.weight_zero_point.data.copy_(zero)
    compress_module(layer)
    return layer, weight


@pytest.mark.parametrize(
    ("scheme", "tolerance"),
    [("W4A16", 0.12), ("W4A16_ASYM", 0.12), ("W8A16", 0.01), ("W8A8", 0.01), ("FP8", 0.04), ("FP8_DYNAMIC", 0.04)],
)
def test_a_weight_is_read_alike_compressed_and_decompressed(scheme: str, tolerance: float) -> None:
    from compressed_tensors.compressors import decompress_module

    layer, weight = compressed(scheme)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    found = dequantize(layer)
    assert (found - weight).norm() / weight.norm() < tolerance
    assert not torch.equal(found, weight)
    after = layer.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    decompress_module(layer)
    torch.testing.assert_close(layer.weight.detach(), found)
    torch.testing.assert_close(dequantize(layer), found)

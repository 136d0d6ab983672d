"""AWQ and GPTQ weights, packed from known integers into layers of the libraries' names."""

from __future__ import annotations

import pytest
import torch

from sft.errors import SftError
from sft.initialization.utils import dequantize
from tests.packing import layer_with, pack_awq, pack_gptq

N_OUT, N_IN = 32, 64
WEIGHT = torch.randn(N_OUT, N_IN, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("group_size", [8, 32, N_IN])
@pytest.mark.parametrize("name", ["AwqTorchLinear", "AwqGEMMLinear", "AwqTorchQuantLinear", "WQLinear_GEMM"])
def test_an_awq_weight_is_what_was_packed(name: str, group_size: int) -> None:
    packed = pack_awq(WEIGHT, group_size)
    assert (packed.weight - WEIGHT).norm() / WEIGHT.norm() < 0.2
    assert torch.equal(dequantize(layer_with(name, packed.buffers, bits=4)), packed.weight)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("group_size", [16, N_IN])
@pytest.mark.parametrize("name", ["TorchLinear", "TorchQuantLinear"])
def test_a_gptq_weight_is_what_was_packed(name: str, group_size: int, bits: int) -> None:
    packed = pack_gptq(WEIGHT, group_size, bits)
    assert (packed.weight - WEIGHT).norm() / WEIGHT.norm() < {2: 1.0, 4: 0.2, 8: 0.02}[bits]
    assert torch.equal(dequantize(layer_with(name, packed.buffers, bits=bits)), packed.weight)


def test_words_with_the_highest_bit_set_are_read_right() -> None:
    """They are negative, and shifting them right brings ones in."""
    packed = pack_awq(WEIGHT, 8)
    assert (packed.buffers["qweight"] < 0).any()


def test_awq_buffers_that_a_kernel_has_repacked_are_refused() -> None:
    buffers = pack_awq(WEIGHT, 8).buffers
    buffers["qweight"] = torch.zeros(N_IN, N_OUT // 2, dtype=torch.uint8)
    with pytest.raises(SftError, match="torch_awq"):
        dequantize(layer_with("AwqTorchLinear", buffers, bits=4))


def test_gptq_buffers_that_a_kernel_has_repacked_are_refused() -> None:
    buffers = pack_gptq(WEIGHT, 16).buffers
    buffers["qweight"] = torch.zeros(N_IN, N_OUT // 2, dtype=torch.uint8)
    with pytest.raises(SftError, match="backend `torch`"):
        dequantize(layer_with("TorchLinear", buffers, bits=4))


def test_gptq_bits_that_straddle_words_are_refused() -> None:
    with pytest.raises(SftError, match="3 bits"):
        dequantize(layer_with("TorchLinear", pack_gptq(WEIGHT, 16).buffers, bits=3))


@pytest.mark.parametrize("name", ["AwqMarlinLinear", "TorchCpuAvx512AwqLinear", "MarlinLinear"])
def test_a_layer_of_another_packing_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(SftError, match=rf"class {name}(.|\n)*known: (.|\n)*AwqTorchLinear"):
        dequantize(layer_with(name, pack_awq(WEIGHT, 8).buffers))

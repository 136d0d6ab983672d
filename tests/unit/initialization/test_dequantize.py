"""Reading weights of layers of any class."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from sft.errors import SftError
from sft.initialization.dequantizers import dequantizer_registry
from sft.initialization.utils import dequantize


def test_a_linear_layers_weight_is_returned_as_float32_without_gradient() -> None:
    layer = nn.Linear(3, 2, dtype=torch.bfloat16)
    weight = dequantize(layer)
    assert weight.dtype == torch.float32
    assert not weight.requires_grad
    assert torch.equal(weight, layer.weight.detach().float())


def test_a_conv1d_layers_weight_is_transposed() -> None:
    layer = Conv1D(2, 3)
    nn.init.normal_(layer.weight)
    weight, text = dequantize(layer), torch.randn(4, 3)
    assert weight.shape == (2, 3)
    torch.testing.assert_close(nn.functional.linear(text, weight, layer.bias), layer(text))


def test_a_subclass_is_read_like_its_base() -> None:
    class Special(nn.Linear):
        pass

    layer = Special(3, 2)
    assert torch.equal(dequantize(layer), layer.weight.detach())


def test_integers_without_a_known_meaning_are_refused() -> None:
    layer = nn.Linear(4, 4)
    layer.weight = nn.Parameter(torch.ones(4, 4, dtype=torch.int8), requires_grad=False)
    with pytest.raises(SftError, match=r"it is torch\.int8"):
        dequantize(layer)


def test_an_unknown_class_is_an_error_that_names_it_and_the_known_ones() -> None:
    with pytest.raises(SftError, match=r"class Bilinear(.|\n)*AwqGEMMLinear, (.|\n)*Conv1D, (.|\n)*Linear"):
        dequantize(nn.Bilinear(2, 2, 2))


def test_a_dequantizer_is_added_under_the_class_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dequantizer_registry._entries, "Bilinear", lambda layer: layer.weight[0])
    layer = nn.Bilinear(2, 2, 2)
    assert torch.equal(dequantize(layer), layer.weight[0].detach())

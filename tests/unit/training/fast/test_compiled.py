"""Elementwise parts run as what is made of them, and are afterwards what they were before."""

from __future__ import annotations

import pytest
import torch

from sft.training.fast.compiled import Function, elementwise_parts
from tests.fakes import byte_tokenizer
from tests.tiny_models import random_ids, tiny_model


def test_parts_are_replaced_and_put_back_also_after_an_error() -> None:
    model = tiny_model("llama", byte_tokenizer())
    called = []

    def counted(function: Function) -> Function:
        def forward(*inputs: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
            called.append(function)
            result: torch.Tensor = function(*inputs, **named)
            return result

        return forward

    ids = torch.tensor(random_ids((11,)))
    plain = model(input_ids=ids).logits
    norm = model.model.norm
    norm.forward = moved = norm.forward  # as accelerate does where it moves inputs to a layer's device

    def fail() -> None:
        with elementwise_parts(model, counted):
            torch.testing.assert_close(model(input_ids=ids).logits, plain)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    # Per layer two norms, a gate and rotary positions; and the last norm.
    assert len(called) == 4 * model.config.num_hidden_layers + 1
    assert vars(norm)["forward"] == moved
    assert [m for m in model.modules() if "forward" in vars(m)] == [norm]
    called.clear()
    model(input_ids=ids)
    assert not called

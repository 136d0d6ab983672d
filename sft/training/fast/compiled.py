"""Elementwise parts of a model's layers as one kernel each: norms, gated activations, rotary positions.

transformers writes them as several operations, each of which reads and writes all activations. Compiling these parts
takes seconds; compiling whole layers took a minute and was no faster (docs/decisions/0018-training.md).
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

_ROTARY = "apply_rotary_pos_emb"
_GATED = ("gate_proj", "up_proj", "down_proj", "act_fn")
Function = Callable[..., Any]


@contextlib.contextmanager
def compiled_parts(model: Any) -> Iterator[None]:
    """Within it, these parts of a transformers model run compiled."""
    with elementwise_parts(model, functools.partial(torch.compile, dynamic=True)):
        yield


@contextlib.contextmanager
def elementwise_parts(model: Any, made_of: Callable[[Function], Function]) -> Iterator[None]:
    """Within it, these parts of a transformers model are what `made_of` makes of them."""
    with contextlib.ExitStack() as stack:
        for module in model.modules():
            if type(module).__name__.endswith("RMSNorm") and not isinstance(module, torch.nn.RMSNorm):
                stack.enter_context(_forward_of(module, made_of(module.forward)))
            elif _is_gated(module):
                stack.enter_context(_forward_of(module, _gated_forward(module, made_of)))
        for name in sorted({type(module).__module__ for module in model.modules()}):
            if name.startswith("transformers.models.") and hasattr(sys.modules[name], _ROTARY):
                stack.enter_context(_function_of(sys.modules[name], _ROTARY, made_of))
        yield


def _is_gated(module: Any) -> bool:
    """Whether it looks like `down(act(gate(x)) * up(x))`; whether it is so, a trial says."""
    children = dict(module.named_children())
    return set(children) == set(_GATED)


def _gated_forward(module: Any, made_of: Callable[[Function], Function]) -> Function:
    activation = module.act_fn

    def gated(gate: Tensor, up: Tensor) -> Tensor:
        result: Tensor = activation(gate) * up
        return result

    made = made_of(gated)

    def forward(x: Tensor) -> Tensor:
        result: Tensor = module.down_proj(made(module.gate_proj(x), module.up_proj(x)))
        return result

    return forward


@contextlib.contextmanager
def _forward_of(module: Any, forward: Function) -> Iterator[None]:
    before = vars(module).get("forward")  # its own where weights are moved between devices
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before


@contextlib.contextmanager
def _function_of(source: Any, name: str, made_of: Callable[[Function], Function]) -> Iterator[None]:
    before = getattr(source, name)
    setattr(source, name, made_of(before))
    try:
        yield
    finally:
        setattr(source, name, before)

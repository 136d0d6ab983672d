"""Elementwise parts of a model's layers as one kernel each: norms, gated activations, rotary positions.

transformers writes them as several operations, each of which reads and writes all activations. Compiling these parts
takes seconds; compiling whole layers took a minute and was no faster (docs/decisions/0016-training.md).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_ROTARY = "apply_rotary_pos_emb"


@contextlib.contextmanager
def compiled_parts(model: Any) -> Iterator[None]:
    """Within it, these parts of a transformers model run compiled."""
    with contextlib.ExitStack() as stack:
        for module in model.modules():
            if type(module).__name__.endswith("RMSNorm") and not isinstance(module, torch.nn.RMSNorm):
                stack.enter_context(_replaced(module, "forward", torch.compile(module.forward, dynamic=True)))
            elif _is_gated(module):
                stack.enter_context(_replaced(module, "forward", _gated_forward(module)))
        for name in sorted({type(module).__module__ for module in model.modules()}):
            source = sys.modules[name]
            if name.startswith("transformers.models.") and hasattr(source, _ROTARY):
                stack.enter_context(
                    _replaced(source, _ROTARY, torch.compile(getattr(source, _ROTARY), dynamic=True), restored=True)
                )
        yield


def _is_gated(module: Any) -> bool:
    """Whether it looks like `down(act(gate(x)) * up(x))`; whether it is so, a trial says."""
    return all(isinstance(getattr(module, name, None), torch.nn.Module) for name in _GATED) and not any(
        name not in _GATED for name, _ in module.named_children()
    )


_GATED = ("gate_proj", "up_proj", "down_proj", "act_fn")


def _gated_forward(module: Any) -> Any:
    activation = module.act_fn

    @torch.compile(dynamic=True)
    def gated(gate: Tensor, up: Tensor) -> Tensor:
        result: Tensor = activation(gate) * up
        return result

    def forward(x: Tensor) -> Tensor:
        result: Tensor = module.down_proj(gated(module.gate_proj(x), module.up_proj(x)))
        return result

    return forward


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any, *, restored: bool = False) -> Iterator[None]:
    """restored: whether the owner had the attribute itself."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if restored:
            setattr(owner, name, before)
        else:
            delattr(owner, name)

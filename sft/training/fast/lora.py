"""A linear layer and its LoRA as one function: y = x W' + b + s (x A') B'.

PEFT computes the adapter in its weights' precision, with a cast of every activation before and after it, and adds it
by operations of their own. Here the factors are cast instead, which are small, products are added where they belong
by the matrix products themselves, and the backward pass computes no gradient of the frozen weight. The factors stay in
float32, and so do their gradients.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear


class LoraLinear(torch.autograd.Function):
    """x: [..., n]. weight: [m, n], frozen, bias: [m] or None. a: [r, n], b: [m, r]. Returns [..., m] in x's dtype."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low_a, low_b = a.to(x.dtype), b.to(x.dtype)
        hidden = rows @ low_a.t()
        output = linear(rows, weight, bias).addmm_(hidden, low_b.t(), alpha=scaling)
        ctx.save_for_backward(rows, weight, low_a, low_b, hidden)
        ctx.scaling = scaling
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        rows, weight, a, b, hidden = ctx.saved_tensors
        outer = gradient.reshape(-1, gradient.shape[-1])
        inner = outer @ b
        if ctx.scaling != 1.0:
            inner = inner * ctx.scaling
        of_a = _product(inner.t(), rows)
        of_b = _product(outer.t(), hidden).mul_(ctx.scaling)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (outer @ weight).addmm_(inner, a).view(*gradient.shape[:-1], -1)
        return of_x, None, None, of_a, of_b, None


def _product(left: Tensor, right: Tensor) -> Tensor:
    """In float32."""
    if left.is_cuda and left.dtype != torch.float32:
        return torch.mm(left, right, out_dtype=torch.float32)
    return (left @ right).float()


@contextlib.contextmanager
def fused(layers: list[Any]) -> Iterator[None]:
    """Within it, these LoRA layers of PEFT compute as `LoraLinear`."""
    for layer in layers:
        layer.forward = _forward_of(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward_of(layer: Any) -> Any:
    (adapter,) = layer.active_adapters
    base, scaling = layer.base_layer, float(layer.scaling[adapter])
    lora_a, lora_b = layer.lora_A[adapter], layer.lora_B[adapter]

    def forward(x: Tensor) -> Tensor:
        output: Tensor = LoraLinear.apply(  # type: ignore[no-untyped-call]
            x, base.weight, base.bias, lora_a.weight, lora_b.weight, scaling
        )
        return output

    return forward


def fusible_layers(model: Any) -> tuple[list[Any], int]:
    """The LoRA layers that `LoraLinear` computes, and how many trained parameters lie elsewhere.

    That are plain LoRA without dropout, variant or trained bias on plain linear layers.
    """
    found = [module for module in model.modules() if _is_fusible(module)]
    ours = {
        id(factor.weight)
        for module in found
        for factors in (module.lora_A, module.lora_B)
        for factor in factors.values()
    }
    return found, sum(p.numel() for p in model.parameters() if p.requires_grad and id(p) not in ours)


def _is_fusible(module: Any) -> bool:
    from peft.tuners.lora import Linear

    if type(module) is not Linear or type(module.base_layer) is not torch.nn.Linear:
        return False
    if len(module.lora_A) != 1 or module.active_adapters != list(module.lora_A) or module.merged:
        return False
    (adapter,) = module.lora_A
    return (
        not module.lora_variant
        and isinstance(module.lora_dropout[adapter], torch.nn.Identity)
        and module.lora_B[adapter].bias is None
        and not any(parameter.requires_grad for parameter in module.base_layer.parameters())
        and "forward" not in vars(module.base_layer)  # as where weights are moved between devices
        and not module.base_layer._forward_hooks
    )

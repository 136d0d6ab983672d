"""A model as it was: to be put back after a run has adapted it, and to tell whether that brought it back.

Everything that an adapter, a trainer or PEFT changes about a model is in the attributes of its modules (children,
parameters, hooks, flags, replaced methods) or of its configs. So the attributes are kept, whatever they are, and put
back; no adapter needs to know how to take itself off. What is in the weights can't be kept, and is compared by a
checksum instead.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

_CHUNK = 1 << 24


class ModelSnapshot:
    """Attributes of every module and config of a model, and a checksum of its tensors."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._modules = [(module, _copy_of(vars(module))) for module in model.modules()]
        configs = _configs_of(model)
        # A config inside another stays the same object, which modules refer to as well.
        self._same = {id(config): config for config in configs}
        self._configs = [(config, self._deep_copy(vars(config))) for config in configs]
        self._tensors = list(_tensors_of(model))
        self._flags = [tensor.requires_grad for tensor in self._tensors]
        self._checksum = _checksum(self._tensors)

    def restore(self) -> str | None:
        """Put everything back, and say what is not as it was; None: nothing."""
        for module, attributes in self._modules:
            vars(module).clear()
            vars(module).update(_copy_of(attributes))
        for config, attributes in self._configs:
            vars(config).clear()
            vars(config).update(self._deep_copy(attributes))
        for tensor, flag in zip(self._tensors, self._flags, strict=True):
            tensor.grad = None
            if tensor.requires_grad is not flag:
                tensor.requires_grad_(flag)
        if _checksum(self._tensors) != self._checksum:
            return "the base model's weights changed"
        return None

    def _deep_copy(self, attributes: dict[str, Any]) -> dict[str, Any]:
        return copy.deepcopy(attributes, dict(self._same))


def _copy_of(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes, with dicts (parameters, children, hooks) and lists of their own, but the same values in them."""
    return {
        name: copy.copy(value) if isinstance(value, (dict, list, set)) else value for name, value in attributes.items()
    }


def _configs_of(model: nn.Module) -> list[Any]:
    """Every configuration object in the attributes of a module, once, and those inside them."""
    from transformers import GenerationConfig, PretrainedConfig

    found: dict[int, Any] = {}

    def collect(values: Iterator[Any] | list[Any]) -> None:
        for value in values:
            if isinstance(value, (GenerationConfig, PretrainedConfig)) and id(value) not in found:
                found[id(value)] = value
                collect(list(vars(value).values()))

    for module in model.modules():
        collect(list(vars(module).values()))
    return list(found.values())


def _tensors_of(model: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers, and the tensors that quantised parameters keep beside their values."""
    for tensor in [*model.parameters(), *model.buffers()]:
        yield tensor
        for state in _quantization_states(tensor):
            yield state.absmax
        scales = getattr(tensor, "SCB", None)  # of 8-bit weights
        if scales is not None:
            yield scales


def _quantization_states(tensor: Any) -> Iterator[Any]:
    """Those of bitsandbytes' 4-bit weights: their own, and with double quantisation that of its scales."""
    state = getattr(tensor, "quant_state", None)
    while state is not None:
        yield state
        state = state.state2


def _checksum(tensors: list[Tensor]) -> tuple[tuple[str, torch.dtype, torch.Size, int], ...]:
    """Of each tensor its device, dtype, shape, and the sum of its bits, read as integers.

    One pass over the weights where they are: milliseconds on a GPU. Not made to withstand anybody who wants it to.
    """
    sums = [_bits(tensor) for tensor in tensors]
    return tuple(
        (str(tensor.device), tensor.dtype, tensor.shape, 0 if total is None else int(total))
        for tensor, total in zip(tensors, sums, strict=True)
    )


@torch.no_grad()
def _bits(tensor: Tensor) -> Tensor | None:
    """None for tensors that aren't in memory (offloaded)."""
    if tensor.is_meta or tensor.numel() == 0:
        return None
    data = tensor.detach()
    if type(data) is not Tensor and hasattr(data, "__tensor_flatten__"):  # torchao: the tensors inside
        names, _ = data.__tensor_flatten__()
        parts = [_bits(getattr(data, name)) for name in names]
        return sum((part for part in parts if part is not None), start=torch.zeros((), dtype=torch.int64))
    flat = data.contiguous().flatten().view(torch.uint8)
    if flat.storage_offset() % 8:  # a view into another tensor
        flat = flat.clone()
    whole = flat[: len(flat) // 8 * 8].view(torch.int64)
    total = _weighted_sum(flat[len(whole) * 8 :].to(torch.int64))
    for chunk in torch.split(whole, _CHUNK):
        total = total * 31 + _weighted_sum(chunk)
    return total


def _weighted_sum(values: Tensor) -> Tensor:
    """Weighted by their places, so that swapped values show; integers wrap around.

    High bits are added to low ones first: multiplied, they alone would be shifted out, and with them signs of floats.
    """
    values = values ^ (values >> 31)
    return (values * (2 * torch.arange(len(values), device=values.device) + 1)).sum()

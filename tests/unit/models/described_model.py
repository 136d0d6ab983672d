"""Everything about a model that could differ after a run, as values that can be compared."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tests.tiny_models import random_ids

_OF_LOADING = "_is_hf_initialized"  # transformers' own, while it loads
_IDS = random_ids([7, 12])


def described(model: nn.Module) -> dict[str, Any]:
    """Modules with their classes and attributes, parameters and buffers, configurations, and outputs, by name."""
    found: dict[str, Any] = {"": type(model)}
    for ids in _IDS:  # first, because some layers move their state about in their first call
        with torch.inference_mode():
            found[f"outputs for {len(ids)} tokens"] = _bits(model(input_ids=torch.tensor([ids])).logits)
    for name, module in model.named_modules():
        found |= {f"module {name}.{key}": _value(value) for key, value in vars(module).items()}
        found[f"module {name}"] = type(module)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        found[f"tensor {name}"] = (type(tensor), tensor.dtype, tensor.requires_grad, tensor.grad is None, _bits(tensor))
        found |= {f"tensor {name}.{key}": _value(value) for key, value in vars(tensor).items() if key != _OF_LOADING}
    return found


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*first, *(name for name in second if name not in first)]
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def _value(value: Any) -> Any:
    """What can be compared between two loads of one model. Of objects that have an identity only, their class."""
    if isinstance(value, Tensor):
        return _bits(value)
    if isinstance(value, nn.Module):
        return type(value)
    if isinstance(value, Mapping):
        # Hooks are numbered through, over all models.
        return [(key if isinstance(key, str) else type(key), _value(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    if isinstance(value, set):
        return sorted(map(str, value))
    if isinstance(value, (str, int, float, torch.dtype, torch.device, type(None), type)):
        return value
    if isinstance(value, functools.partial):
        return [_value(value.func), _value(value.args), _value(value.keywords)]
    if isinstance(value, (types.FunctionType, types.MethodType, types.BuiltinFunctionType)):
        return getattr(value, "__qualname__", type(value))
    if hasattr(value, "to_dict"):
        return [type(value), value.to_dict()]
    return type(value)


def _bits(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...], bytes]:
    data = tensor.detach()
    if type(data) not in (Tensor, nn.Parameter) and hasattr(data, "__tensor_flatten__"):
        parts = [_bits(getattr(data, name)) for name in data.__tensor_flatten__()[0]]
        return data.dtype, tuple(data.shape), repr(parts).encode()
    as_bytes = data.as_subclass(Tensor).contiguous().flatten().view(torch.uint8) if data.numel() else data
    return data.dtype, tuple(data.shape), as_bytes.numpy().tobytes()

"""A model's layers compiled by torch, in use only where asked: generation and training see the layers as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


class CompiledLayers:
    """The repeated blocks of a transformers model. One block is compiled, and its code serves them all.

    Raises `ValueError` for models whose blocks can't be compiled alone: unknown, quantised, or moved between devices.
    """

    def __init__(self, model: Any) -> None:
        names = set(getattr(model, "_no_split_modules", None) or ())
        self._layers = [module for module in model.modules() if type(module).__name__ in names]
        if not self._layers:
            raise ValueError(f"{type(model).__name__} doesn't say which of its modules are repeated")
        if getattr(model, "is_quantized", False) or any(hasattr(layer, "_hf_hook") for layer in self._layers):
            raise ValueError("its weights are quantised, or on several devices")
        self._forwards = [torch.compile(layer.forward, dynamic=True) for layer in self._layers]

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        for layer, forward in zip(self._layers, self._forwards, strict=True):
            layer.forward = forward
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.forward

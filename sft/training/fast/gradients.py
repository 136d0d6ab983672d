"""Gradients as they were before an attempt that failed."""

from __future__ import annotations

from typing import Any

from torch import Tensor

_MOST_BYTES = 2**30


class KeptGradients:
    """What was accumulated so far. Without copies where nothing was; where it is much, there is no way back."""

    def __init__(self, model: Any) -> None:
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = [parameter.grad for parameter in self._trained]
        self.can_be_restored = sum(_bytes(gradient) for gradient in gradients) <= _MOST_BYTES
        self._kept: list[Tensor | None] = []
        if self.can_be_restored:
            self._kept = [None if gradient is None else gradient.clone() for gradient in gradients]

    def restore(self) -> None:
        for parameter, gradient in zip(self._trained, self._kept, strict=True):
            parameter.grad = gradient


def _bytes(gradient: Tensor | None) -> int:
    return 0 if gradient is None else gradient.numel() * gradient.element_size()

"""What a dequantizer is: a function from a layer to its weight `[out, in]`, named after the layer's class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from sft.registry import Registry

dequantizer_registry: Registry[Callable[[Any], Tensor]] = Registry("dequantizer")

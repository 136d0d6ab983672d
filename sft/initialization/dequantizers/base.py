"""What a dequantizer is: a function from a layer to its weight `[out, in]`.

It is named after the class of the layer, of its weight or of its quantisation scheme: whatever tells the kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from sft.registry import Registry

dequantizer_registry: Registry[Callable[[Any], Tensor]] = Registry("dequantizer")

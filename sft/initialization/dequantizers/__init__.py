"""How to read the weight of each kind of layer: layer class name → function, one file per kind."""

from sft.initialization.dequantizers.base import dequantizer_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["dequantizer_registry"]

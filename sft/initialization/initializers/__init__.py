"""Initialisations of low-rank factors, by name; `lora.init_lora_weights` names one.

An initializer is a function `f(layer, rank, dtype=torch.bfloat16) -> {"lora_A": [rank, in], "lora_B": [out, rank]}`
that never changes the layer. One file with one decorator adds one; `initializer_registry["name"] = f` works too.
"""

from sft.initialization.initializers.base import Initializer, initializer_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Initializer", "initializer_registry"]

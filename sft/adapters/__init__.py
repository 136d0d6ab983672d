"""Trainable parts put on a model: one registry, a file for each method that has something of its own.

Their names are known without importing torch.
"""

from sft.adapters.base import AdapterMethod, adapter_registry
from sft.adapters.choose import method_of
from sft.adapters.experimental import register_the_rest
from sft.registry import import_submodules

import_submodules(__name__, __path__)
register_the_rest()

__all__ = ["AdapterMethod", "adapter_registry", "method_of"]

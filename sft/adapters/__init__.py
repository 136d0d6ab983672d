"""Trainable parts put on a model: one registry, one file per method. Their names are known without importing torch."""

from sft.adapters.base import AdapterMethod, adapter_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["AdapterMethod", "adapter_registry"]

"""Trainable parts put on a model: one registry; a method with something of its own has a class in a file here."""

from sft.adapters.attach import AttachedAdapter, attach, method_of
from sft.adapters.base import AdapterMethod, adapter_registry
from sft.adapters.experimental import register_the_rest
from sft.registry import import_submodules

import_submodules(__name__, __path__)
register_the_rest()

__all__ = ["AdapterMethod", "AttachedAdapter", "adapter_registry", "attach", "method_of"]

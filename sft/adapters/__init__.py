"""Trainable parts put on a model: one registry, one file per method."""

from sft.adapters.attach import AttachedAdapter, attach
from sft.adapters.base import AdapterMethod, adapter_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["AdapterMethod", "AttachedAdapter", "adapter_registry", "attach"]

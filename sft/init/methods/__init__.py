"""What `sft init` can write: one file per method."""

from __future__ import annotations

from sft.init.methods.base import default_shots, method_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["default_shots", "method_registry"]

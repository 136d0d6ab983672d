"""Ways to score labels: one registry, one file per engine."""

from sft.inference.engines.base import Engine, EngineOptions, engine_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Engine", "EngineOptions", "engine_registry"]

"""What a training minimises: one registry, one file per objective. Names and arguments are known without torch."""

from sft.registry import import_submodules
from sft.training.objectives.base import LabelTokens, Objective, objective_registry

import_submodules(__name__, __path__)

__all__ = ["LabelTokens", "Objective", "objective_registry"]

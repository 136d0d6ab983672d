"""Making scores of labels of different lengths and frequencies comparable: one registry, one file per family."""

from sft.calibration.normalization.base import Normalization, Reference, normalization_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Normalization", "Reference", "normalization_registry"]

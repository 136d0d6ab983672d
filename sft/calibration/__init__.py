"""Adjusting label scores for a model's bias towards some labels: one registry, one file per method."""

from sft.calibration.base import Adjusted, Calibration, Needs, Support, calibration_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Adjusted", "Calibration", "Needs", "Support", "calibration_registry"]

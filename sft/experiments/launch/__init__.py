"""Where runs execute: one registry, one file per launcher."""

from sft.experiments.launch.base import Launcher, LaunchOptions, launcher_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["LaunchOptions", "Launcher", "launcher_registry"]

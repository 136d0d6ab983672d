"""The checks by name, a file each. A new one is a new file in this folder."""

from sft.doctor.checks.base import Check, check_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Check", "check_registry"]

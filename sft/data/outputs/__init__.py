"""How the answers of each task type stand in a data set, by name. A new one is a new file in this folder."""

from sft.data.outputs.base import Outputs, RowsRead, output_registry
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Outputs", "RowsRead", "output_registry"]

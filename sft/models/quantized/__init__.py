"""Kinds of quantised weights: the `quant_method` of a checkpoint → what it needs here, one file per kind."""

from sft.models.quantized.base import QuantizedKind, Settings, quantized_registry
from sft.models.quantized.layers import parameter_count, quantised_layers
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["QuantizedKind", "Settings", "parameter_count", "quantised_layers", "quantized_registry"]

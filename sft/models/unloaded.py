"""A model of which only the tokenizer and the configuration are there: enough to build the prompts of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sft.config.schema import ModelConfig
from sft.models.architecture import architecture_of
from sft.models.load import LoadedModel, max_positions
from sft.models.source import ADAPTER_CONFIG, ModelSource
from sft.models.tokenizer import load_tokenizer


@dataclass
class UnloadedModel(LoadedModel):
    """positions_taken: by the adapter's own vectors, before every prompt."""

    positions_taken: int = 0

    @property
    def virtual_tokens(self) -> int:
        return self.positions_taken


def unloaded(config: ModelConfig, source: ModelSource) -> UnloadedModel:
    """What `load_model` would give, without weights. Raises `ModelError` where its files can't be read."""
    positions = max_positions(architecture_of(config, source.base))
    tokenizer = load_tokenizer(config, source)
    return UnloadedModel(None, tokenizer, source, positions, positions_taken=virtual_tokens_in(source))


def virtual_tokens_in(source: ModelSource) -> int:
    """Positions that the trained adapter takes from every sequence."""
    if source.adapter is None:
        return 0
    values = json.loads((source.adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    return int(values.get("num_virtual_tokens") or 0)

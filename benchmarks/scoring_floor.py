"""What any exact way of scoring labels has to compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sft.inference.shared_prefixes import ScoringRow, prefix_groups
from sft.models.load import LoadedModel


class Floor(NamedTuple):
    parts: dict[str, float]
    tokens: int
    prefix: int

    @property
    def flops(self) -> float:
        return sum(self.parts.values())


def floor(loaded: LoadedModel, rows: Sequence[ScoringRow]) -> Floor:
    """Floating-point operations that no exact method can do without, sharing the prefix that all rows have."""
    config = loaded.model.config
    prefix = max(group.prefix_length for group in prefix_groups(rows, 10**9))
    matrices = {name: p for name, p in loaded.model.named_parameters() if p.dim() == 2}
    parameters = sum(p.numel() for name, p in matrices.items() if "embed" not in name and "lm_head" not in name)
    tails = [len(row.prompt) - prefix for row in rows]
    nodes = [len(row.tree) for row in rows]
    tokens = prefix + sum(tails) + sum(nodes)
    pairs = prefix * (prefix + 1) / 2
    for tail, row in zip(tails, rows, strict=True):
        pairs += tail * prefix + tail * (tail + 1) / 2 + len(row.tree) * (prefix + tail) + (row.tree.depths + 1).sum()
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    scored = len(rows) + sum(nodes)
    parts = {
        "linear": 2.0 * parameters * tokens,
        "attention": 4.0 * width * config.num_hidden_layers * float(pairs),
        "head": 2.0 * config.vocab_size * config.hidden_size * scored,
    }
    return Floor(parts, tokens, prefix)

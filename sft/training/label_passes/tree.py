"""The fast pass: what prompts of a batch have in common, and what labels have in common, is read once.

It is the packed forward pass of the scoring engine `tree`, but with gradients, through the model's own `forward` (so
that wrappers for mixed precision, several processes and recomputed activations do what they are there for), and
without keys and values from another pass, through which no gradient would flow.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sft.inference.backbone import attending, backbone, refuse_other_layers, refuse_own_masks
from sft.inference.packing import Document, documents_of, pack
from sft.inference.shared_prefixes import PrefixGroup, ScoringRow, common_length
from sft.inference.tree_attention import Pass
from sft.inference.tree_attention.trainable import trainable_attention
from sft.inference.unsupported import refuse_virtual_tokens
from sft.models.load import LoadedModel
from sft.training.label_passes.base import by_label, chosen_log_probs, placed

NAME = "sft_training_tree"
# A document of several rows is attended to as a whole.
_TOKENS_IN_DOCUMENT = 2048


class TreePass:
    """Raises `UnsupportedModelError`, at once or when called, for a model that can't be read like this.

    What it is reading stays known until the next call, on whatever thread asks: recomputed activations need it in the
    backward pass.
    """

    name = "tree"

    def __init__(self, loaded: LoadedModel) -> None:
        refuse_virtual_tokens(loaded)
        backbone(loaded)
        self._loaded = loaded
        forward = inspect.signature(loaded.base_model.forward)
        self._can_skip_logits = "logits_to_keep" in forward.parameters
        self._current: Pass | None = None

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        ALL_ATTENTION_FUNCTIONS[NAME] = self._attention
        try:
            with attending(self._loaded.base_model, NAME):
                yield
        finally:
            del ALL_ATTENTION_FUNCTIONS[NAME]
            self._current = None

    def tokens(self, row: ScoringRow) -> int:
        return len(row.prompt) + len(row.tree)

    def __call__(self, model: Any, rows: Sequence[ScoringRow]) -> Tensor:
        batch = pack(_documents(placed(rows)))
        self._current = current = Pass(batch, {})
        device = self._loaded.device
        scored = torch.from_numpy(batch.scored).to(device)
        kept: dict[str, Any] = {"logits_to_keep": scored} if self._can_skip_logits else {}
        logits: Tensor = model(
            input_ids=torch.from_numpy(batch.tokens).to(device)[None],
            position_ids=current.layout(device).positions[None],
            use_cache=False,
            **kept,
        ).logits[0]
        refuse_other_layers(self._loaded, len(current.layers))
        if not self._can_skip_logits:
            logits = logits[scored.to(logits.device)]
        return by_label(chosen_log_probs(logits, batch.edge_rows, batch.edge_tokens), batch.rows)

    def _attention(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        *,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        position_bias: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """As `sft.inference.tree_attention.tree_attention`."""
        current = self._current
        assert current is not None, "the model attends outside of a tree pass"
        refuse_own_masks(module, attention_mask, position_bias)
        current.layers.add(module.layer_idx)
        output = trainable_attention(
            query,
            key,
            value,
            current.layout(query.device),
            scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
            window=sliding_window or None,
            softcap=softcap,
            sinks=s_aux,
            dropout=dropout,
        )
        return output[None].contiguous(), None


def _documents(rows: Sequence[ScoringRow]) -> list[Document]:
    """The rows, those that begin alike in one document."""
    ordered = sorted(rows, key=lambda row: row.key)
    shared = [0, *(common_length(a.prompt, b.prompt) for a, b in pairwise(ordered))]
    return list(documents_of(PrefixGroup(ordered, 0, shared), _TOKENS_IN_DOCUMENT))

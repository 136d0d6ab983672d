"""The model on right-padded sequences, as transformers runs it: nothing cached, nothing shared."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sft.models.load import LoadedModel


class PlainForward:
    """Right for every causal model. The language-model head runs only from the first position that is asked for."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        forward = inspect.signature(loaded.base_model.forward)
        self._can_skip_logits = "logits_to_keep" in forward.parameters

    def __call__(self, model: Any, sequences: Sequence[Sequence[int]], first: int) -> Tensor:
        """Logits [sequences, longest - first, V]: entry i is what follows token `first + i`.

        model: the loaded one, however it is wrapped.
        """
        width = max(map(len, sequences))
        ids = torch.full((len(sequences), width), self._loaded.tokenizer.pad_token_id)
        mask = torch.zeros((len(sequences), width), dtype=torch.long)
        for i, sequence in enumerate(sequences):
            ids[i, : len(sequence)] = torch.tensor(sequence)
            mask[i, : len(sequence)] = 1
        kept: dict[str, Any] = {"logits_to_keep": width - first} if self._can_skip_logits else {}
        device = self._loaded.device
        logits: Tensor = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **kept).logits
        return logits[:, first - width :]

"""From hidden states to log-probabilities of chosen tokens: the head runs on the rows that are asked for, no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sft.inference.label_tree import IntArray
from sft.inference.row_logsumexp import chosen_log_probs
from sft.inference.triton_support import runs_triton


class LanguageHead:
    """The output embeddings of a causal language model with whatever scales or caps its logits.

    Architectures whose logits are made in yet another way are noticed by the comparison with the plain way
    (`capability`), and scored in another.
    """

    def __init__(self, model: Any) -> None:
        config = model.config.get_text_config()
        self._projection = model.get_output_embeddings()
        self._scale: float = getattr(config, "logit_scale", None) or getattr(config, "lm_head_multiplier", None) or 1.0
        self._scale /= getattr(config, "logits_scaling", None) or 1.0
        self._softcap: float | None = getattr(config, "final_logit_softcapping", None)

    def bytes_per_row(self, hidden: Tensor) -> int:
        """What the logits of one row take, and their log-softmax where no kernel spares it."""
        size = hidden.dtype.itemsize if runs_triton(hidden) else hidden.dtype.itemsize + 4
        return size * int(self._projection.weight.shape[0])

    def log_probs(
        self, hidden: Tensor, scored: IntArray, rows: IntArray, tokens: IntArray, *, rows_at_once: int
    ) -> Tensor:
        """log p(token | what precedes it), float32 [E] on the head's device.

        hidden: [T, D]. scored: [R], positions in `hidden` after which something is predicted. rows: [E], ascending,
        which of `scored`. tokens: [E]. rows_at_once: how many rows of logits are in memory at a time.
        """
        parts = []
        for start in range(0, len(scored), rows_at_once):
            positions = scored[start : start + rows_at_once]
            first, last = np.searchsorted(rows, [start, start + len(positions)])
            logits = self._logits(hidden[torch.from_numpy(positions).to(hidden.device)])
            row = torch.from_numpy(rows[first:last] - start).to(logits.device)
            parts.append(chosen_log_probs(logits, row, torch.from_numpy(tokens[first:last]).to(logits.device)))
        return torch.cat(parts)

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._projection(hidden)
        if self._scale != 1.0:
            logits = logits * self._scale
        if self._softcap is not None:
            logits = self._softcap * torch.tanh(logits / self._softcap)
        return logits

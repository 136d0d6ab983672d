"""The plain pass: one sequence per row and label. Right for every causal model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sft.inference.plain_forward import PlainForward
from sft.inference.shared_prefixes import ScoringRow
from sft.models.load import LoadedModel
from sft.training.label_passes.base import by_label, chosen_log_probs, placed


class PlainPass:
    """What is computed is what the scoring engine `naive` computes."""

    name = "naive"

    def __init__(self, loaded: LoadedModel) -> None:
        self._forward = PlainForward(loaded)

    def in_use(self) -> AbstractContextManager[None]:
        return nullcontext()

    def tokens(self, row: ScoringRow) -> int:
        return sum(len(row.prompt) + len(label) - 1 for label in row.tree.labels)

    def __call__(self, model: Any, rows: Sequence[ScoringRow]) -> Tensor:
        rows = placed(rows)
        first = min(len(row.prompt) for row in rows) - 1
        sequences = [[*row.prompt.tolist(), *label[:-1]] for row in rows for label in row.tree.labels]
        logits = self._forward(model, sequences, first)
        n_labels, width = len(rows[0].tree.labels), logits.shape[1]
        cells = [
            (row.place * n_labels + row.tree.edge_labels) * width + len(row.prompt) - 1 - first + row.tree.edge_depths
            for row in rows
        ]
        predicted, which = np.unique(np.concatenate(cells), return_inverse=True)
        tokens = np.concatenate([row.tree.edge_tokens for row in rows])
        chosen = logits.flatten(0, 1)[torch.from_numpy(predicted).to(logits.device)]
        return by_label(chosen_log_probs(chosen, which, tokens), rows)

"""What a label pass is, and how its predictions are laid out by label."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sft.inference.label_tree import IntArray
from sft.inference.shared_prefixes import ScoringRow


class LabelPass(Protocol):
    """One forward pass over rows with all their labels. name: what a record calls it."""

    name: str

    def in_use(self) -> AbstractContextManager[None]:
        """Within it, the pass may be called, and gradients may flow back through what it returned."""
        ...

    def tokens(self, row: ScoringRow) -> int:
        """How many tokens the model reads of a row that shares nothing with another."""
        ...

    def __call__(self, model: Any, rows: Sequence[ScoringRow]) -> Tensor:
        """log p of every token of every label, float32 [rows, labels, longest label]; 0 where a label is shorter.

        model: the loaded one as it is trained, however it is wrapped. rows: each with as many labels as the others.
        """
        ...


def chosen_log_probs(logits: Tensor, rows: IntArray, tokens: IntArray) -> Tensor:
    """log-softmax(logits)[rows, tokens], [E], with gradients; in float32, or float64 as the logits [R, V]."""
    row, token = (torch.from_numpy(values).to(logits.device) for values in (rows, tokens))
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits[row, token] - logits.logsumexp(dim=-1)[row]


def by_label(log_probs: Tensor, rows: Sequence[ScoringRow]) -> Tensor:
    """[rows, labels, longest label]. log_probs: [E], of the predictions of the rows' trees, end to end.

    rows: in the order in which they were read; they know their places in the result.
    """
    n_labels = len(rows[0].tree.labels)
    width = max(len(label) for row in rows for label in row.tree.labels)
    cells = [(row.place * n_labels + row.tree.edge_labels) * width + row.tree.edge_depths for row in rows]
    laid = log_probs.new_zeros(len(rows) * n_labels * width)
    index = torch.from_numpy(np.concatenate(cells)).to(log_probs.device)
    return laid.index_put((index,), log_probs).view(len(rows), n_labels, width)


def placed(rows: Sequence[ScoringRow]) -> list[ScoringRow]:
    """The rows, each knowing its place among them. (The same row may be there twice.)"""
    return [row._replace(place=i) for i, row in enumerate(rows)]

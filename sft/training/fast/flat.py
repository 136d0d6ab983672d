"""Batches without padding: the sequences one after the other, and the positions whose next token is in the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sft.prompting.labelled import IGNORED


class FlatCollator:
    """Rows with `input_ids` and `labels` (the token at each position, or `IGNORED`) → one flat row.

    `input_ids`, `labels`, `position_ids`: [1, T]. `lengths`: of the sequences. `answer_at`: [A], the positions before
    the tokens of the loss, and `answer_ids`: [A], those tokens.
    """

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        ids = [torch.tensor(row["input_ids"]) for row in rows]
        # Nothing predicts a first token, and here another sequence stands before it.
        flat = torch.tensor([label for row in rows for label in (IGNORED, *row["labels"][1:])])
        answer_at = (flat[1:] != IGNORED).nonzero()[:, 0]
        return {
            "input_ids": torch.cat(ids)[None],
            "labels": flat[None],
            "position_ids": torch.cat([torch.arange(len(row)) for row in ids])[None],
            "lengths": [len(row) for row in ids],
            "answer_at": answer_at,
            "answer_ids": flat[answer_at + 1],
        }

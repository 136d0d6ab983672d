"""Batches without padding: the sequences one after the other, and the positions whose next token is in the loss."""

from __future__ import annotations

import itertools
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


def halves(batch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A flat batch of several sequences as two, of about as many tokens."""
    lengths = list(batch["lengths"])
    total, ends = sum(lengths), list(itertools.accumulate(lengths))
    n = min(range(1, len(lengths)), key=lambda count: abs(2 * ends[count - 1] - total))
    cut = ends[n - 1]
    first = batch["answer_at"] < cut
    of_tokens = ("input_ids", "labels", "position_ids")
    return (
        {name: batch[name][:, :cut] for name in of_tokens}
        | {"lengths": lengths[:n], "answer_at": batch["answer_at"][first], "answer_ids": batch["answer_ids"][first]},
        {name: batch[name][:, cut:] for name in of_tokens}
        | {
            "lengths": lengths[n:],
            "answer_at": batch["answer_at"][~first] - cut,
            "answer_ids": batch["answer_ids"][~first],
        },
    )

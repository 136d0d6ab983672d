"""Whether continuations are what the model would say: the second thing that lm-eval asks of each.

The scorer doesn't look for the most probable token. Of a context's continuations, only those that follow the best
branches of their common tree can be greedy; of these, one that has more than half of the probability is, and the few
others are read once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from sft.inference.batching import BatchSize, run_in_batches
from sft.inference.plain_forward import PlainForward
from sft.models.load import LoadedModel

Tokens = tuple[int, ...]
_DEPTH = 16  # beginnings of continuations beyond which no branch is told from another
_HALF = math.log(0.5) + 1e-3  # nats, so that rounding can't make a half of less


class Scored(NamedTuple):
    """log_probs: of the continuations of a context, and where there are several of their `beginnings`."""

    context: Tokens
    continuations: Sequence[Tokens]
    log_probs: Mapping[Tokens, float]


def beginnings(continuations: Sequence[Tokens]) -> list[Tokens]:
    """What tells branches apart. They are nodes of the same tree, so scoring them costs next to nothing."""
    if len(continuations) == 1:
        return []
    return sorted({ids[:n] for ids in continuations for n in range(1, min(len(ids), _DEPTH) + 1)})


def greedy(loaded: LoadedModel, rows: Sequence[Scored], batch_size: BatchSize) -> list[frozenset[Tokens]]:
    """For each row, the continuations of which every token is the most probable one."""
    branches = [_on_best_branches(row) for row in rows]
    sure = [{ids for ids in found if row.log_probs[ids] > _HALF} for row, found in zip(rows, branches, strict=True)]
    asked = [(i, ids) for i, found in enumerate(branches) for ids in found if ids not in sure[i]]
    read = _read(loaded, [(rows[i].context, ids) for i, ids in asked], batch_size)
    for (i, ids), is_greedy in zip(asked, read, strict=True):
        if is_greedy:
            sure[i].add(ids)
    return [frozenset(found) for found in sure]


def _on_best_branches(row: Scored) -> list[Tokens]:
    """The continuations that begin with the best token, and go on with the best after it, and so on."""
    children: dict[Tokens, list[Tokens]] = {}
    for ids in beginnings(row.continuations):
        children.setdefault(ids[:-1], []).append(ids)
    path: Tokens = ()
    while path in children:
        path = max(children[path], key=lambda ids: row.log_probs[ids])
    return [ids for ids in row.continuations if ids[:_DEPTH] == path[: len(ids)] or not children]


@torch.inference_mode()
def _read(loaded: LoadedModel, sequences: Sequence[tuple[Tokens, Tokens]], batch_size: BatchSize) -> list[bool]:
    """Whether each continuation is greedy after its context, by a pass over both."""
    forward = PlainForward(loaded)
    found = [False] * len(sequences)

    def run(batch: Sequence[int]) -> None:
        read = [[*sequences[i][0], *sequences[i][1][:-1]] for i in batch]
        first = min(len(sequences[i][0]) for i in batch) - 1
        best = forward(loaded.model, read, first).argmax(dim=-1).tolist()
        for i, row in zip(batch, best, strict=True):
            context, continuation = sequences[i]
            start = len(context) - 1 - first
            found[i] = tuple(row[start : start + len(continuation)]) == continuation

    run_in_batches(
        range(len(sequences)),
        lambda i: len(sequences[i][0]) + len(sequences[i][1]),
        run,
        batch_size=batch_size,
        device=loaded.device,
        description="looking for greedy answers",
        unpadded=loaded.virtual_tokens > 0,
    )
    return found

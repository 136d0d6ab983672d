"""Splitting labelled rows into parts of which each can be held out."""

from __future__ import annotations

from collections.abc import Sequence

from sft.data.example import Example


def stratified_folds(pool: Sequence[Example], folds: int) -> list[list[Example]]:
    """Every row in one fold, and every label spread over the folds as evenly as it goes; rows keep their order.

    No randomness of its own: the order of a pool is seeded.
    """
    by_label = sorted(range(len(pool)), key=lambda i: pool[i].label or 0)
    fold_of = {i: place % folds for place, i in enumerate(by_label)}
    return [[example for i, example in enumerate(pool) if fold_of[i] == fold] for fold in range(folds)]

"""Splitting labelled rows into parts of which each can be held out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from sft.data.example import Example


def stratified_folds(pool: Sequence[Example], folds: int) -> list[list[Example]]:
    """Every row in one fold, and every label spread over the folds as evenly as it goes; rows keep their order.

    No randomness of its own: the order of a pool is seeded. Rows with several labels go, those of the rarest label
    first, where that label is rarest, and of such folds into the smallest (after Sechidis et al. 2011).
    """
    if any(example.labels is not None for example in pool):
        return _by_rarest_label(pool, folds)
    by_label = sorted(range(len(pool)), key=lambda i: pool[i].label or 0)
    fold_of = {i: place % folds for place, i in enumerate(by_label)}
    return [[example for i, example in enumerate(pool) if fold_of[i] == fold] for fold in range(folds)]


def _by_rarest_label(pool: Sequence[Example], folds: int) -> list[list[Example]]:
    totals = Counter(label for example in pool for label in example.labels or ())
    held = [Counter[int]() for _ in range(folds)]
    sizes = [0] * folds
    fold_of = {}

    def rarest(example: Example) -> int | None:
        return min(example.labels or (), key=lambda label: (totals[label], label), default=None)

    def rank(example: Example) -> tuple[float, int]:
        label = rarest(example)
        return (math.inf, 0) if label is None else (totals[label], label)

    for example in sorted(pool, key=rank):
        label = rarest(example)
        fold = min(range(folds), key=lambda i: (0 if label is None else held[i][label], sizes[i], i))
        held[fold].update(example.labels or ())
        sizes[fold] += 1
        fold_of[example.row] = fold
    return [[example for example in pool if fold_of[example.row] == fold] for fold in range(folds)]

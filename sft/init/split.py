"""Which rows of one table are held out for testing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

SEED = 0


class Split(NamedTuple):
    """Row numbers, ascending."""

    train: list[int]
    test: list[int]


def hold_out(inputs: Sequence[Hashable], labels: Sequence[Hashable], share: float) -> Split:
    """About `share` of the rows of every label, chosen by a fixed seed.

    inputs: what rows are told apart by; rows with the same stay on one side. Every label keeps a row to learn from, and
    has one to test where it has two different ones.
    """
    copies: dict[Hashable, list[int]] = {}
    for i, value in enumerate(inputs):
        copies.setdefault(value, []).append(i)
    strata: dict[Hashable, list[list[int]]] = {}
    for rows in copies.values():
        strata.setdefault(labels[rows[0]], []).append(rows)
    generator = np.random.default_rng(SEED)
    test = [i for members in strata.values() for i in _some(members, share, generator)]
    return Split(sorted(set(range(len(inputs))) - set(test)), sorted(test))


def _some(groups: Sequence[list[int]], share: float, generator: np.random.Generator) -> list[int]:
    """Rows of whole groups, but never of all groups."""
    wanted = max(1, round(share * sum(map(len, groups))))
    taken: list[int] = []
    for i in generator.permutation(len(groups))[:-1]:
        if len(taken) >= wanted:
            break
        taken += groups[i]
    return taken

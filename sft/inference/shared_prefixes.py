"""Which prompts of a task begin alike, so that what they share is read once.

Prompts are sorted, which puts those that share most beside each other (a radix tree, in depth-first order). A group is
a set of prompts with a common prefix whose keys and values are worth keeping over several forward passes; what some
prompts of a group share beyond it is shared within a forward pass (`packing`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from sft.inference.label_tree import IntArray, LabelTree

# Fewer common tokens than this (a first word, say) are not worth the bookkeeping.
MIN_SHARED = 16


class ScoringRow(NamedTuple):
    """A prompt's tokens [n], the tree of the labels after it, and (inside an engine) where its scores go.

    key: bytes that sort as the tokens do.
    """

    prompt: IntArray
    tree: LabelTree
    key: bytes
    place: int = 0


def scoring_row(prompt: IntArray, tree: LabelTree) -> ScoringRow:
    return ScoringRow(prompt, tree, prompt.astype(">u4").tobytes())


class PrefixGroup(NamedTuple):
    """Rows in sorted order that all begin with `prefix_length` tokens, each longer than that.

    shared: [rows], how many leading tokens a row has in common with the row before it; `prefix_length` for the first.
    """

    rows: list[ScoringRow]
    prefix_length: int
    shared: list[int]

    @property
    def prefix(self) -> IntArray:
        return self.rows[0].prompt[: self.prefix_length]


class InOrder(NamedTuple):
    """Numbers of rows, those that begin alike beside each other, and how many tokens each adds to the one before."""

    order: list[int]
    to_read: list[int]


def by_beginning(rows: Sequence[ScoringRow]) -> InOrder:
    """Depends on the rows alone."""
    order = sorted(range(len(rows)), key=lambda i: rows[i].key)
    ordered = [rows[i] for i in order]
    common = [0, *(common_length(a.prompt, b.prompt) for a, b in pairwise(ordered))]
    sizes = [len(row.prompt) - shared + len(row.tree) for row, shared in zip(ordered, common, strict=False)]
    return InOrder(order, sizes)


def prefix_groups(rows: Sequence[ScoringRow], tokens_per_pass: int) -> Iterator[PrefixGroup]:
    """Sort rows into groups, every row into one; a group comes right before the groups whose prefixes continue its own.

    tokens_per_pass: how many tokens one forward pass reads. A longer prefix makes a group of its own where keeping its
    keys and values saves a substantial part of a pass.
    """
    ordered = sorted(rows, key=lambda row: row.key)
    common = [0] + [common_length(a.prompt, b.prompt) for a, b in pairwise(ordered)]
    yield from _Splitter(ordered, common, tokens_per_pass).split(0, len(ordered))


class _Splitter:
    def __init__(self, rows: Sequence[ScoringRow], common: Sequence[int], tokens_per_pass: int) -> None:
        self._rows, self._common, self._per_pass = rows, common, tokens_per_pass

    def split(self, start: int, stop: int) -> Iterator[PrefixGroup]:
        """Groups of the rows `start:stop`: those that go with their common prefix, then those with longer ones."""
        prefix = self._prefix(start, stop)
        kept: list[ScoringRow] = []
        shared: list[int] = []
        apart = []
        for first, last in self._runs(start, stop, prefix):
            if self._tokens_saved(first, last, prefix) * 8 >= self._per_pass:
                apart.append((first, last))
            else:
                kept += self._rows[first:last]
                shared += [prefix, *self._common[first + 1 : last]]
        if kept:
            yield PrefixGroup(kept, prefix, shared)
        for first, last in apart:
            yield from self.split(first, last)

    def _prefix(self, start: int, stop: int) -> int:
        """Tokens with which all rows `start:stop` begin, at least one less than any row has; 0 where too few."""
        if stop - start == 1:
            return 0
        shortest = min(len(row.prompt) for row in self._rows[start:stop])
        length = min(*self._common[start + 1 : stop], shortest - 1)
        return length if length >= MIN_SHARED else 0

    def _runs(self, start: int, stop: int, prefix: int) -> Iterator[tuple[int, int]]:
        """Maximal runs of neighbours that share more than `prefix` tokens."""
        first = start
        for i in range(start + 1, stop):
            if self._common[i] <= prefix:
                yield first, i
                first = i
        yield first, stop

    def _tokens_saved(self, start: int, stop: int, prefix: int) -> int:
        """What a prefix of their own spares these rows, given that within a pass shared tokens are read once anyway."""
        longer = self._prefix(start, stop) - prefix
        if longer <= 0:
            return 0
        rest = sum(len(row.prompt) - prefix - longer + len(row.tree) for row in self._rows[start:stop])
        return longer * (math.ceil(rest / self._per_pass) - 1)


def common_length(a: IntArray, b: IntArray) -> int:
    """With how many tokens both begin."""
    n = min(len(a), len(b))
    different = a[:n] != b[:n]
    first = int(different.argmax()) if n else 0
    return first if n and different[first] else n

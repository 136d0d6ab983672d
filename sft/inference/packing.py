"""Prompts with their label trees, laid end to end in one sequence without padding.

A document holds one row or several that share more than their group's prefix. Its tokens are a tree in depth-first
order: the prompts' tails branch where they differ, and after each prompt's last token comes its label tree. A token
sees the prefix and its own ancestors: token i is seen by token j of the same document exactly when i <= j < ends[i].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sft.inference.label_tree import IntArray
from sft.inference.shared_prefixes import MIN_SHARED, PrefixGroup, ScoringRow


class Document(NamedTuple):
    """Rows of a group that are read together, and how many leading tokens each shares with the one before it."""

    rows: list[ScoringRow]
    shared: list[int]
    prefix_length: int
    n_tokens: int


@dataclass(frozen=True)
class PackedBatch:
    """What one forward pass reads, and which predictions are wanted of it.

    tokens, positions, ends: [T]; `ends` counts from the batch's first token. starts: [D + 1], where documents begin.
    branches: whether any token is followed by several (if not, every document is an ordinary causal sequence).
    scored: [R], the tokens after which something is predicted. edge_rows: [E], which of `scored`, ascending.
    edge_tokens: [E], what is predicted. edge_cells: [E], which of the labels of all `rows`, end to end.
    """

    tokens: IntArray
    positions: IntArray
    ends: IntArray
    starts: IntArray
    branches: bool
    prefix_length: int
    scored: IntArray
    edge_rows: IntArray
    edge_tokens: IntArray
    edge_cells: IntArray
    rows: list[ScoringRow]


def documents_of(group: PrefixGroup, max_tokens: int) -> Iterator[Document]:
    """Cut a group into documents of at most `max_tokens` where that is possible (one row may be longer)."""
    rows: list[ScoringRow] = []
    shared: list[int] = []
    size = 0
    for row, common in zip(group.rows, group.shared, strict=True):
        added = len(row.prompt) - common + len(row.tree)
        joins = rows and common - group.prefix_length >= MIN_SHARED and size + added <= max_tokens
        if rows and not joins:
            yield Document(rows, shared, group.prefix_length, size)
            rows, shared, size = [], [], 0
        if not joins:
            common, added = group.prefix_length, len(row.prompt) - group.prefix_length + len(row.tree)
        rows.append(row)
        shared.append(common)
        size += added
    yield Document(rows, shared, group.prefix_length, size)


def single_rows(document: Document) -> list[Document]:
    """The same rows, each in a document of its own."""
    prefix = document.prefix_length
    return [Document([row], [prefix], prefix, len(row.prompt) - prefix + len(row.tree)) for row in document.rows]


def pack(documents: Sequence[Document], multiple: int = 1) -> PackedBatch:
    """Documents of one prefix length, end to end, filled up to a multiple of so many tokens.

    multiple: kernels that are planned anew for every shape see few shapes then.
    """
    laid = [_lay_out(document) for document in documents]
    laid += _filling(-sum(len(part.tokens) for part in laid) % multiple, documents[0].prefix_length)
    rows = [row for document in documents for row in document.rows]
    sizes = [len(part.tokens) for part in laid]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    slots = [slots + start for part, start in zip(laid, starts[:-1], strict=True) for slots in part.slots]
    first_slot = np.cumsum([0, *map(len, slots)])[:-1]
    first_cell = np.cumsum([0, *(len(row.tree.labels) for row in rows)])[:-1]
    return PackedBatch(
        tokens=np.concatenate([part.tokens for part in laid]),
        positions=np.concatenate([part.positions for part in laid]),
        ends=np.concatenate([part.ends for part in laid]) + np.repeat(starts[:-1], sizes),
        starts=starts,
        branches=any(len(row.tree) > 0 for row in rows) or len(rows) > len(documents),
        prefix_length=documents[0].prefix_length,
        scored=np.concatenate(slots),
        edge_rows=np.concatenate([row.tree.edge_rows + first for row, first in zip(rows, first_slot, strict=True)]),
        edge_tokens=np.concatenate([row.tree.edge_tokens for row in rows]),
        edge_cells=np.concatenate([row.tree.edge_labels + first for row, first in zip(rows, first_cell, strict=True)]),
        rows=rows,
    )


def pack_chain(tokens: IntArray, start: int) -> PackedBatch:
    """A stretch of a prefix that begins at position `start`; nothing is predicted."""
    n, nothing = len(tokens), np.empty(0, dtype=np.int64)
    return PackedBatch(
        tokens=tokens,
        positions=np.arange(start, start + n, dtype=np.int64),
        ends=np.full(n, n, dtype=np.int64),
        starts=np.array([0, n], dtype=np.int64),
        branches=False,
        prefix_length=start,
        scored=nothing,
        edge_rows=nothing,
        edge_tokens=nothing,
        edge_cells=nothing,
        rows=[],
    )


class _Laid(NamedTuple):
    """One document from its own first token. slots: per row, those of its last prompt token and the nodes of its tree
    after which anything is predicted."""

    tokens: IntArray
    positions: IntArray
    ends: IntArray
    slots: list[IntArray]


def _filling(n: int, position: int) -> list[_Laid]:
    """A document of `n` tokens that see nothing of each other and that nobody asks about."""
    zeros = np.zeros(n, dtype=np.int64)
    return [_Laid(zeros, zeros + position, np.arange(1, n + 1), [])] if n else []


def _lay_out(document: Document) -> _Laid:
    tokens: list[IntArray] = []
    positions: list[IntArray] = []
    ends: list[IntArray] = []
    slots: list[IntArray] = []
    closed: list[tuple[IntArray, int]] = []
    prefix, size = document.prefix_length, 0
    path = np.empty(0, dtype=np.int64)  # where the current row's tail is
    for row, common in zip(document.rows, document.shared, strict=True):
        kept, length, tree = common - prefix, len(row.prompt), row.tree
        closed.append((path[kept:], size))
        added = length - common
        path = np.concatenate([path[:kept], np.arange(size, size + added)])
        size += added
        tokens += [row.prompt[common:], tree.tokens]
        positions += [np.arange(common, length), tree.depths + length]
        ends += [np.empty(added, dtype=np.int64), tree.ends + size]
        slots.append(np.concatenate([path[-1:], np.arange(size, size + len(tree))])[tree.scored_slots])
        size += len(tree)
    closed.append((path, size))
    all_ends = np.concatenate(ends)
    for where, end in closed:
        all_ends[where] = end
    return _Laid(np.concatenate(tokens), np.concatenate(positions), all_ends, slots)

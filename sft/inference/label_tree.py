"""The labels of a task as one tree: what several labels begin with is read once.

The score of a label is a sum over its tokens of log p(token | what precedes it). "What precedes it" is the prompt and
an inner node of the tree of all labels' tokens, so a model that has read the prompt and every inner node once knows the
scores of all labels. Leaves are predicted, never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelTree:
    """Inner nodes in depth-first order, and the predictions that make up the labels' scores.

    tokens: [N]. depths: [N], 0 for a label's first token. ends: [N], one past the last node of a node's subtree, so
    that node i is an ancestor of node j (or j itself) exactly when i <= j < ends[i].
    edge_slots: [E], ascending, where a token is predicted: 0 after the prompt, i + 1 after node i. edge_tokens: [E],
    the token. edge_labels: [E], the label to whose score the prediction belongs. labels: every label's tokens, the end
    included. given: how many of each are read and not scored.
    """

    labels: tuple[tuple[int, ...], ...]
    given: tuple[int, ...]
    tokens: IntArray
    depths: IntArray
    ends: IntArray
    edge_slots: IntArray
    edge_tokens: IntArray
    edge_labels: IntArray

    @cached_property
    def scored_slots(self) -> IntArray:
        """Where anything is predicted, ascending."""
        return np.unique(self.edge_slots)

    @cached_property
    def edge_rows(self) -> IntArray:
        """[E], which of `scored_slots`."""
        return np.searchsorted(self.scored_slots, self.edge_slots)

    @cached_property
    def edge_depths(self) -> IntArray:
        """[E], which of its label's tokens is predicted."""
        return np.concatenate([[-1], self.depths])[self.edge_slots] + 1

    def __len__(self) -> int:
        """Inner nodes: what is read after every prompt."""
        return len(self.tokens)


def label_tree(labels: Sequence[Sequence[int]], end_id: int | None = None, given: Sequence[int] = ()) -> LabelTree:
    """The tree of the labels' tokens, each followed by `end_id` where one is scored. No label may be empty.

    given: how many tokens of each label are not scored; none where it is empty. The same labels give the same object,
    as long as the last few hundred label sets go.
    """
    end = () if end_id is None else (end_id,)
    return _build(tuple((*label, *end) for label in labels), tuple(given) or (0,) * len(labels))


@lru_cache(maxsize=256)
def _build(labels: tuple[tuple[int, ...], ...], given: tuple[int, ...]) -> LabelTree:
    assert all(labels), "a label without a token can't be scored"
    # A sequence sorts right before its continuations: sorted order is depth-first.
    nodes = sorted({label[:length] for label in labels for length in range(1, len(label))})
    slot = {node: i + 1 for i, node in enumerate(nodes)}
    slot[()] = 0
    edges = sorted(
        (slot[label[:i]], token, column)
        for column, (label, unscored) in enumerate(zip(labels, given, strict=True))
        for i, token in enumerate(label)
        if i >= unscored
    )
    slots, tokens, columns = (np.array(values, dtype=np.int64) for values in zip(*edges, strict=True))
    return LabelTree(
        labels=labels,
        given=given,
        tokens=np.array([node[-1] for node in nodes], dtype=np.int64),
        depths=np.array([len(node) - 1 for node in nodes], dtype=np.int64),
        ends=_subtree_ends(nodes),
        edge_slots=slots,
        edge_tokens=tokens,
        edge_labels=columns,
    )


def _subtree_ends(nodes: Sequence[tuple[int, ...]]) -> IntArray:
    ends = np.full(len(nodes), len(nodes), dtype=np.int64)
    open_nodes: list[int] = []
    for i, node in enumerate(nodes):
        while open_nodes and nodes[open_nodes[-1]] != node[: len(nodes[open_nodes[-1]])]:
            ends[open_nodes.pop()] = i
        open_nodes.append(i)
    return ends

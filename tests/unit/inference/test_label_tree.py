"""The tree of labels: every label's tokens can be read off it, and it reads no token twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sft.inference.label_tree import LabelTree, label_tree

LABEL_SETS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=12)


def before(tree: LabelTree, slot: int) -> list[int]:
    """The tokens that precede a prediction: the node's ancestors, by the promise about `ends`, and itself."""
    node = slot - 1
    return [int(tree.tokens[i]) for i in range(slot) if i <= node < tree.ends[i]]


@given(LABEL_SETS, st.sampled_from([None, 9]))
def test_every_label_is_predicted_token_by_token_after_what_precedes_it(labels: list[list[int]], end: int) -> None:
    tree = label_tree(labels, end)
    for number, label in enumerate(labels):
        whole = [*label, end] if end is not None else label
        edges = [
            (before(tree, slot), token)
            for slot, token, owner in zip(tree.edge_slots, tree.edge_tokens, tree.edge_labels, strict=True)
            if owner == number
        ]
        assert sorted(edges, key=lambda edge: len(edge[0])) == [(whole[:i], token) for i, token in enumerate(whole)]


@given(LABEL_SETS)
def test_no_two_nodes_stand_for_the_same_tokens_and_no_leaf_is_one(labels: list[list[int]]) -> None:
    tree = label_tree(labels)
    paths = [tuple(before(tree, node + 1)) for node in range(len(tree))]
    assert sorted(paths) == sorted({tuple(label[:n]) for label in labels for n in range(1, len(label))})
    assert tree.depths.tolist() == [len(path) - 1 for path in paths]


def test_a_common_beginning_is_one_node() -> None:
    tree = label_tree([[5, 6, 7], [5, 6, 8], [5]])
    assert tree.tokens.tolist() == [5, 6]
    assert tree.ends.tolist() == [2, 2]


def test_labels_of_one_token_need_no_node_without_an_end_and_one_each_with_one() -> None:
    assert len(label_tree([[1], [2], [3]])) == 0
    assert label_tree([[1], [2], [3]], end_id=0).tokens.tolist() == [1, 2, 3]


def test_predictions_are_in_the_order_of_their_places() -> None:
    slots = label_tree([[3, 1, 2], [3, 1], [2]], end_id=0).edge_slots
    assert (np.diff(slots) >= 0).all()


def test_the_same_labels_are_the_same_tree() -> None:
    assert label_tree([[1, 2], [3]], 0) is label_tree([[1, 2], [3]], 0)
    assert label_tree([[1, 2], [3]], 0) is not label_tree([[1, 2], [3]], None)

"""Holding out rows: shares, strata, copies."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sft.init.split import hold_out

ROWS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=1, max_size=60)


@given(ROWS, st.floats(0.05, 0.9))
def test_every_row_is_on_one_side_and_copies_are_together(rows: list[tuple[int, int]], share: float) -> None:
    inputs, labels = [text for text, _ in rows], [label for _, label in rows]
    split = hold_out(inputs, labels, share)
    assert sorted([*split.train, *split.test]) == list(range(len(rows)))
    assert not {inputs[i] for i in split.train} & {inputs[i] for i in split.test}
    assert split == hold_out(inputs, labels, share)


def test_labels_have_their_share_and_a_rare_one_is_on_both_sides() -> None:
    labels = ["a"] * 100 + ["b"] * 20 + ["c"] * 2
    split = hold_out(range(122), labels, 0.2)
    assert Counter(labels[i] for i in split.test) == {"a": 20, "b": 4, "c": 1}


def test_a_label_with_one_row_is_learnt_rather_than_tested() -> None:
    assert 3 in hold_out(range(4), ["a", "a", "a", "b"], 0.5).train


def test_rows_are_not_taken_from_one_place() -> None:
    test = hold_out(range(1000), [0] * 1000, 0.2).test
    assert 60 < sum(i < 500 for i in test) < 140

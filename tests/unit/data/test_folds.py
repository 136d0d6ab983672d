"""Labelled rows in folds: each row once, each label in each."""

from __future__ import annotations

from collections import Counter

import pytest

from sft.data.folds import stratified_folds
from tests.fakes import make_examples

# Label of each row of the pool, and how many folds.
POOLS = [([0, 1, 1, 0], 2), ([2, 0, 1, 1, 0, 2, 0, 2, 1], 3), ([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0], 4), ([1, 0] * 16, 5)]


@pytest.mark.parametrize(("labels", "folds"), POOLS, ids=str)
def test_every_row_is_in_one_fold_and_rows_keep_their_order(labels: list[int], folds: int) -> None:
    pool = make_examples(labels)
    parts = stratified_folds(pool, folds)
    assert len(parts) == folds
    assert sorted(example.row for part in parts for example in part) == [example.row for example in pool]
    assert all([e.row for e in part] == sorted(e.row for e in part) for part in parts)


@pytest.mark.parametrize(("labels", "folds"), POOLS, ids=str)
def test_labels_are_spread_as_evenly_as_it_goes(labels: list[int], folds: int) -> None:
    parts = stratified_folds(make_examples(labels), folds)
    for label, total in Counter(labels).items():
        counts = [sum(example.label == label for example in part) for part in parts]
        assert set(counts) <= {total // folds, -(-total // folds)}
        assert min(counts) >= 1
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_what_is_left_without_a_fold_has_every_label() -> None:
    pool = make_examples([0, 1, 0, 1, 1])
    for part in stratified_folds(pool, 2):
        rest = [example.label for example in pool if example not in part]
        assert set(rest) == {0, 1}

"""The test rows of a comparison: the same for every seed, each label with its share."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import pytest

from sft.data.example import LabelSet
from sft.data.sampling import select_test
from tests.fakes import label_set, make_examples

LABELS = label_set("a", "b", "c")
TEST = make_examples(([0] * 5 + [1] * 3 + [2]) * 12)


def quotas_by_brute_force(sizes: list[int], n: int) -> set[tuple[int, ...]]:
    """All whole-number quotas of sum `n` that are nearest to the exact shares (in squared distance), by trying all.

    Quotas by largest remainders are exactly those; ties allow several.
    """
    exact = [Fraction(n * size, sum(sizes)) for size in sizes]
    candidates = [
        quotas
        for quotas in itertools.product(*(range(math.floor(share), math.ceil(share) + 1) for share in exact))
        if sum(quotas) == n
    ]
    distance = {q: sum((x - share) ** 2 for x, share in zip(q, exact, strict=True)) for q in candidates}
    return {quotas for quotas in candidates if distance[quotas] == min(distance.values())}


@pytest.mark.parametrize("sizes", [[60, 36, 12], [10, 10, 10], [1, 1, 98], [7, 5, 3], [1, 0, 4]], ids=str)
def test_each_label_gets_the_share_nearest_to_its_own(sizes: list[int]) -> None:
    test = make_examples([label for label, size in enumerate(sizes) for _ in range(size)])
    for n in range(1, len(test)):
        counts = Counter(example.label for example in select_test(test, LABELS, n))
        assert tuple(counts[label] for label in range(3)) in quotas_by_brute_force(sizes, n), n


def test_rows_are_distinct_and_in_their_original_order() -> None:
    chosen = [example.row for example in select_test(TEST, LABELS, 40)]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 40


@pytest.mark.parametrize("n", [None, len(TEST), len(TEST) + 1])
def test_all_rows_are_used_where_there_are_no_more_than_asked_for(n: int | None) -> None:
    assert select_test(TEST, LABELS, n) == TEST


def test_rows_are_drawn_rather_than_taken_from_the_start() -> None:
    assert {example.row for example in select_test(TEST, LABELS, 30)} != set(range(30))
    assert max(example.row for example in select_test(TEST, LABELS, 30)) > len(TEST) // 2


def test_the_rows_do_not_depend_on_the_order_in_which_a_config_names_the_labels() -> None:
    """Two maps of verbalisations are compared on the same rows."""
    reordered = LabelSet(("c", "a", "b"), ("x", "y", "z"))
    position = {LABELS.names[i]: i for i in range(3)}
    relabelled = make_examples([reordered.names.index(LABELS.names[e.label]) for e in TEST if e.label is not None])
    assert position == {"a": 0, "b": 1, "c": 2}
    for n in (1, 2, 10, 40):
        expected = [example.row for example in select_test(TEST, LABELS, n)]
        assert [example.row for example in select_test(relabelled, reordered, n)] == expected


def test_generation_draws_from_all_rows_together() -> None:
    texts = make_examples([None] * 50)
    chosen = [example.row for example in select_test(texts, None, 20)]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 20
    assert chosen != list(range(20))

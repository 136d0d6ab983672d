"""The label budget: which training rows a run may use."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from sft.data.example import Example
from sft.data.sampling import label_pool
from sft.errors import DataError
from tests.fakes import label_set, make_config, make_examples

LABELS = label_set("a", "b", "c")
# Row numbers with gaps, as deduplication leaves them; 40, 25 and 10 rows of the labels.
TRAIN = [e for e in make_examples(([0] * 4 + [1] * 3 + [2]) * 13) if e.row % 7 != 3]
SIZES = Counter(example.label for example in TRAIN)


def pool(shots: int | None, seed: int = 13, train: Sequence[Example] = TRAIN, **sections: Any) -> list[Example]:
    config = make_config(dataset={"shots": shots}, seed=seed, **sections)
    return label_pool(train, LABELS, config)


def rows(examples: Sequence[Example]) -> list[int]:
    return [example.row for example in examples]


@pytest.mark.parametrize("shots", [1, 2, 7])
def test_shots_are_counted_per_label_and_drawn_without_replacement(shots: int) -> None:
    chosen = pool(shots)
    assert Counter(example.label for example in chosen) == {0: shots, 1: shots, 2: shots}
    assert len(set(rows(chosen))) == len(chosen)
    assert all(example in TRAIN for example in chosen)


def test_null_is_all_rows_in_another_order() -> None:
    assert sorted(rows(pool(None))) == rows(TRAIN)
    assert rows(pool(None)) != rows(TRAIN)


def test_the_same_seed_gives_the_same_pool_and_others_differ() -> None:
    assert pool(4) == pool(4)
    pools = {tuple(sorted(rows(pool(4, seed)))) for seed in range(20)}
    assert len(pools) == 20


@pytest.mark.parametrize("seed", range(5))
def test_pools_of_one_seed_are_nested_and_keep_their_order(seed: int) -> None:
    pools = [rows(pool(shots, seed)) for shots in (1, 2, 4, 9, None)]
    for smaller, larger in itertools.pairwise(pools):
        assert set(smaller) < set(larger)
        assert [row for row in larger if row in smaller] == smaller


def test_labels_are_mixed_rather_than_sorted() -> None:
    labels = [example.label for example in pool(8)]
    assert labels != sorted(labels, key=str)


def test_every_row_has_a_chance() -> None:
    seen = {row for seed in range(200) for row in rows(pool(4, seed))}
    assert seen == set(rows(TRAIN))


def test_the_data_seed_alone_chooses_the_pool() -> None:
    assert pool(4, seed=1, data_seed=13) == pool(4, seed=13)
    assert pool(4, seed=13, icl_seed=99, train_seed=98) == pool(4, seed=13)
    assert pool(4, seed=13, data_seed=1) != pool(4, seed=13)


def test_too_few_rows_of_a_label_are_all_used_with_a_warning_that_names_it(caplog: pytest.LogCaptureFixture) -> None:
    asked = SIZES[2] + 5
    chosen = pool(asked)
    assert Counter(example.label for example in chosen) == {0: asked, 1: asked, 2: SIZES[2]}
    assert caplog.messages == [f"fewer training rows than the {asked} asked for, all are used: c ({SIZES[2]})"]


def test_many_labels_with_too_few_rows_are_one_warning_that_names_the_first(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"intent {i}" for i in range(77)]
    train = make_examples([i for i in range(77) for _ in range(3 if i == 1 else 2)])
    assert len(label_pool(train, label_set(*names), make_config(dataset={"shots": 3}))) == 2 * 77 + 1
    (message,) = caplog.messages
    first = ", ".join(f"intent {i} (2)" for i in (0, 2, 3, 4, 5))
    assert message == f"fewer training rows than the 3 asked for, all are used: {first} and 71 more"


def test_enough_rows_warn_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        pool(SIZES[2])
    assert not caplog.messages


@pytest.mark.parametrize("shots", [4, None])
def test_a_label_without_any_row_is_refused(shots: int | None) -> None:
    without = [example for example in TRAIN if example.label != 1]
    with pytest.raises(DataError, match="the label 'b' has no training example"):
        pool(shots, train=without)


def test_zero_shots_need_no_row_of_any_label() -> None:
    assert pool(0, train=[]) == []


def test_zero_shots_with_in_context_examples_take_these_from_a_pool_of_that_size() -> None:
    assert Counter(e.label for e in pool(0, inference={"icl_examples": 3})) == {0: 3, 1: 3, 2: 3}
    # The in-context examples of training are no reason: nothing is trained.
    assert pool(0, training={"icl_examples": 3}) == []


def test_in_context_examples_take_no_labels_beyond_the_shots() -> None:
    assert pool(2, inference={"icl_examples": 5}, training={"icl_examples": 5}) == pool(2)


def test_shots_of_generation_are_a_total() -> None:
    texts = make_examples([None] * 30)
    config = make_config(dataset={"task_type": "generation", "shots": 8})
    chosen = label_pool(texts, None, config)
    assert len({example.row for example in chosen}) == 8


def test_too_few_rows_of_generation_are_all_used_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    config = make_config(dataset={"task_type": "generation", "shots": 8})
    assert len(label_pool(make_examples([None] * 3), None, config)) == 3
    assert caplog.messages == ["fewer training rows than the 8 asked for, all are used: the data set (3)"]

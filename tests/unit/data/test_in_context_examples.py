"""Which in-context examples a prompt shows, in which order, and that they betray nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any, Literal

import pytest

from sft.data.example import Example
from sft.data.sampling import InContextExamples
from tests.fakes import label_set, make_examples

LABELS = label_set("a", "b", "c")
# Pools as `label_pool` gives them: mixed labels; and one in which a label is short of rows.
POOL = make_examples([0, 1, 2, 2, 1, 0, 0, 1, 2, 1, 2, 0])
UNEVEN = make_examples([0, 1, 0, 2, 1, 0])
TEST = make_examples([0, 1, 2, 0], first_row=0)
Sampling = Literal["fixed", "per_prompt"]
Purpose = Literal["training", "inference", "calibration"]
# Prompts of training rows themselves.
OF_TRAINING_ROWS: list[Purpose] = ["training", "calibration"]
SAMPLINGS: list[Sampling] = ["fixed", "per_prompt"]


def examples(purpose: Purpose, per_group: int, *, pool: list[Example] = POOL, **changes: Any) -> InContextExamples:
    options: dict[str, Any] = {"purpose": purpose, "sampling": "fixed", "seed": 13, **changes}
    return InContextExamples(pool, LABELS, per_group, **options)


def rows(shown: list[Example]) -> list[int]:
    return [example.row for example in shown]


@pytest.mark.parametrize("purpose", OF_TRAINING_ROWS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("pool", [POOL, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("per_group", [1, 2, 3, 4, 9])
def test_a_training_row_is_never_shown_to_itself_nor_twice(
    pool: list[Example], per_group: int, sampling: Sampling, purpose: Purpose
) -> None:
    shown = examples(purpose, per_group, pool=pool, sampling=sampling)
    for query in pool:
        found = rows(shown.for_query(query))
        assert query.row not in found
        assert len(set(found)) == len(found) == len(shown)
        assert set(found) <= set(rows(pool))


@pytest.mark.parametrize("purpose", OF_TRAINING_ROWS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("pool", [POOL, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("per_group", [1, 2, 3, 4, 9])
def test_label_counts_in_training_prompts_say_nothing_of_a_row(
    pool: list[Example], per_group: int, sampling: Sampling, purpose: Purpose
) -> None:
    """Were a row's own label shown once less to it alone, a model could count labels instead of reading."""
    shown = examples(purpose, per_group, pool=pool, sampling=sampling)
    counts = {tuple(sorted(Counter(e.label for e in shown.for_query(query)).items())) for query in pool}
    assert len(counts) == 1
    sizes = Counter(LABELS.names[e.label] for e in pool if e.label is not None)
    assert shown.counts == {name: min(per_group, sizes[name] - 1) for name in LABELS.names}


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_test_rows_see_the_pool_only_even_where_row_numbers_agree(sampling: Sampling) -> None:
    """Row 0 of the test split is another row than row 0 of the train split, and excludes nothing."""
    shown = examples("inference", 4, sampling=sampling)
    for query in TEST:
        found = shown.for_query(query)
        assert sorted(rows(found)) == rows(POOL)
        assert all(any(example is member for member in POOL) for example in found)


@pytest.mark.parametrize("purpose", ["training", "inference", "calibration"])
def test_in_context_examples_are_counted_per_label(purpose: Purpose) -> None:
    shown = examples(purpose, 2)
    assert shown.counts == {"a": 2, "b": 2, "c": 2}
    assert len(shown) == len(shown.for_query(POOL[0])) == 6


def test_in_context_examples_of_generation_are_a_total() -> None:
    pool = make_examples([None] * 10)
    shown = InContextExamples(pool, None, 3, purpose="training", sampling="fixed", seed=13)
    assert len(shown) == 3
    assert all(len(shown.for_query(query)) == 3 for query in pool)


def test_none_asked_for_is_none_shown_without_a_warning() -> None:
    for shown in (examples("training", 0), examples("inference", 0, pool=[])):
        assert shown.for_query(POOL[0]) == []
        assert shown.warnings == []


def test_too_few_rows_warn_naming_the_label() -> None:
    assert examples("inference", 2, pool=UNEVEN).warnings == [
        "inference prompts: fewer in-context examples than the 2 asked for: c (1, the pool has 1)"
    ]


@pytest.mark.parametrize("purpose", ["training", "inference"])
def test_many_labels_with_too_few_rows_are_one_warning_that_names_the_first(purpose: Purpose) -> None:
    names = [f"intent {i}" for i in range(77)]
    pool = make_examples([*range(77)] * 2)
    shown = InContextExamples(pool, label_set(*names), 3, purpose=purpose, sampling="fixed", seed=13)
    count = 2 if purpose == "inference" else 1
    first = ", ".join(f"intent {i} ({count}, the pool has 2)" for i in range(5))
    asked = "fewer in-context examples than the 3 asked for"
    assert shown.warnings == [f"{purpose} prompts: {asked}: {first} and 72 more"]


def test_labels_that_no_shot_sees_in_its_prompt_are_told_once() -> None:
    """Of two labels, the pool holds one row: each would be shown to itself only."""
    pool = make_examples([0, 0, 0, 1, 2])
    shown = examples("calibration", 2, pool=pool)
    (none,) = shown.warnings
    assert "scored without in-context examples of b, c, which test prompts have" in none
    none, some = examples("calibration", 3, pool=pool).warnings
    assert "without in-context examples of b, c," in none
    assert some == "calibration prompts: fewer in-context examples than the 3 asked for: a (2, the pool has 3)"


def test_fixed_is_one_list_for_all_test_rows() -> None:
    shown = examples("inference", 2)
    assert len({tuple(rows(shown.for_query(query))) for query in TEST}) == 1


def test_fixed_training_prompts_differ_by_the_row_that_is_left_out_alone() -> None:
    shown = examples("training", 2)
    for left, right in itertools.combinations(POOL, 2):
        difference = set(rows(shown.for_query(left))) ^ set(rows(shown.for_query(right)))
        assert len(difference) <= 4


def test_fixed_examples_are_mixed_over_labels_and_ordered_by_the_icl_seed() -> None:
    orders = [rows(examples("inference", 4, seed=seed).for_query(TEST[0])) for seed in range(10)]
    assert len(set(map(tuple, orders))) == 10
    assert all(sorted(order) == rows(POOL) for order in orders)
    labels = [[POOL[row].label for row in order] for order in orders]
    assert sum(found != sorted(found, key=str) for found in labels) == 10


def test_fewer_fixed_examples_are_part_of_more() -> None:
    few, many = (rows(examples("inference", n).for_query(TEST[0])) for n in (2, 3))
    assert [row for row in many if row in few] == few


def test_per_prompt_draws_anew_for_each_row_and_the_same_again() -> None:
    shown = examples("inference", 2, sampling="per_prompt")
    queries = make_examples([0] * 30)
    drawn = [tuple(rows(shown.for_query(query))) for query in queries]
    assert len(set(drawn)) > 20
    assert drawn == [tuple(rows(shown.for_query(query))) for query in reversed(queries)][::-1]


def test_per_prompt_depends_on_the_icl_seed() -> None:
    first, second = (
        [rows(examples("inference", 2, sampling="per_prompt", seed=s).for_query(q)) for q in TEST] for s in (1, 2)
    )
    assert first != second


def test_per_prompt_shows_every_row_of_the_pool_to_some_query() -> None:
    shown = examples("training", 1, sampling="per_prompt")
    seen = {row for query in POOL for row in rows(shown.for_query(query))}
    assert len(seen) > len(POOL) // 2

"""For any data: budgets, shares and in-context examples keep their promises."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sft.data.example import Example
from sft.data.sampling import InContextExamples, label_pool, select_test
from tests.fakes import label_set, make_config, make_examples

LABELS = label_set("a", "b", "c")
# Every label at least once, because a label without rows is refused.
ROWS = st.lists(st.integers(0, 2), max_size=30).map(lambda labels: make_examples([*labels, 0, 1, 2]))
SEEDS = st.integers(0, 2**31)


@given(train=ROWS, seed=SEEDS, small=st.integers(1, 6), more=st.integers(0, 6))
def test_pools_hold_so_many_of_each_label_and_are_nested(
    train: list[Example], seed: int, small: int, more: int
) -> None:
    pools = [
        label_pool(train, LABELS, make_config(dataset={"shots": shots}, seed=seed)) for shots in (small, small + more)
    ]
    sizes = Counter(example.label for example in train)
    for shots, pool in zip((small, small + more), pools, strict=True):
        assert Counter(e.label for e in pool) == {label: min(shots, size) for label, size in sizes.items()}
        assert len({example.row for example in pool}) == len(pool)
    few = [example.row for example in pools[0]]
    assert [example.row for example in pools[1] if example.row in few] == few


@given(test=ROWS, n=st.integers(1, 40))
def test_a_test_subset_gives_each_label_its_share_to_within_one_row(test: list[Example], n: int) -> None:
    chosen = select_test(test, LABELS, n)
    assert len(chosen) == min(n, len(test))
    assert [e.row for e in chosen] == sorted({e.row for e in chosen})
    sizes, counts = Counter(e.label for e in test), Counter(e.label for e in chosen)
    for label, size in sizes.items():
        assert abs(counts[label] - size * len(chosen) / len(test)) < 1


@given(
    pool=ROWS,
    seed=SEEDS,
    per_group=st.integers(0, 5),
    sampling=st.sampled_from(["fixed", "per_prompt"]),
    data=st.data(),
)
def test_training_prompts_show_the_same_number_of_each_label_and_never_the_row_itself(
    pool: list[Example], seed: int, per_group: int, sampling: str, data: st.DataObject
) -> None:
    shown = InContextExamples(
        pool,
        LABELS,
        per_group,
        purpose="training",
        sampling="fixed" if sampling == "fixed" else "per_prompt",
        seed=seed,
    )
    expected = {name: count for name, count in shown.counts.items() if count}
    for query in data.draw(st.lists(st.sampled_from(pool), min_size=2, max_size=4)):
        found = shown.for_query(query)
        assert query.row not in [example.row for example in found]
        assert Counter(LABELS.names[e.label] for e in found if e.label is not None) == expected

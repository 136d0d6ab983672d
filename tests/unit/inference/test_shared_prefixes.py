"""Groups of prompts: what is found to be shared really is, and sharing it is worth it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sft.inference.label_tree import label_tree
from sft.inference.shared_prefixes import MIN_SHARED, PrefixGroup, common_length, prefix_groups
from tests.label_scoring import rows_of
from tests.tiny_models import random_ids

TREE = label_tree([[1, 2], [1, 3]])


def groups_of(prompts: Sequence[Sequence[int]], tokens_per_pass: int = 1000) -> list[PrefixGroup]:
    return list(prefix_groups(rows_of(prompts, TREE), tokens_per_pass))


def with_prefix(prefix: Sequence[int], lengths: Sequence[int], seed: int) -> list[list[int]]:
    return [[*prefix, *tail] for tail in random_ids(lengths, seed)]


# Few different tokens and doublings, so that prompts share much, repeat each other and continue each other.
PROMPTS = st.lists(
    st.builds(
        lambda stem, times, tail: stem * times + tail,
        st.lists(st.integers(0, 1), min_size=1, max_size=12),
        st.integers(1, 6),
        st.lists(st.integers(0, 1), max_size=4),
    ),
    min_size=1,
    max_size=12,
)


@given(PROMPTS, st.sampled_from([8, 60, 1000]))
def test_every_row_is_in_one_group_and_shares_what_the_group_says(prompts: list[list[int]], per_pass: int) -> None:
    groups = groups_of(prompts, per_pass)
    assert sorted(row.place for group in groups for row in group.rows) == list(range(len(prompts)))
    for group in groups:
        before = group.rows[0]
        for row, shared in zip(group.rows, group.shared, strict=True):
            assert row.prompt.tolist() == prompts[row.place]
            assert len(row.prompt) > group.prefix_length, "a row must keep a token to be predicted after"
            assert row.prompt[: group.prefix_length].tolist() == group.prefix.tolist()
            assert group.prefix_length <= shared <= common_length(before.prompt, row.prompt)
            before = row


def test_one_prefix_for_prompts_that_differ_at_their_ends() -> None:
    prefix = random_ids([100], seed=1)[0]
    (group,) = groups_of(with_prefix(prefix, [5, 9, 3, 7], seed=2))
    assert group.prefix.tolist() == prefix


def test_a_prompt_that_is_the_prefix_of_the_others_keeps_its_last_token() -> None:
    prefix = random_ids([50], seed=1)[0]
    (group,) = groups_of([prefix, *with_prefix(prefix, [4, 4], seed=2)])
    assert group.prefix.tolist() == prefix[:-1]


def test_prompts_that_hardly_begin_alike_share_nothing() -> None:
    prefix = random_ids([MIN_SHARED - 1], seed=1)[0]
    (group,) = groups_of(with_prefix(prefix, [5, 9], seed=2))
    assert group.prefix_length == 0


def test_a_single_prompt_has_no_prefix_to_keep() -> None:
    (group,) = groups_of([[1] * 100])
    assert group.prefix_length == 0


def test_two_large_sets_with_long_prefixes_of_their_own_are_two_groups() -> None:
    """As where some prompts had to lose an in-context example: all share the instruction, each set its examples."""
    instruction, *examples = random_ids([40, 300, 300], seed=3)
    prompts = [
        p for e, seed in zip(examples, (4, 5), strict=True) for p in with_prefix(instruction + e, [20] * 90, seed)
    ]
    groups = groups_of(prompts, tokens_per_pass=1000)
    assert sorted(group.prefix.tolist() for group in groups) == sorted(instruction + e for e in examples)


def test_a_few_prompts_with_a_long_prefix_stay_with_the_others() -> None:
    """Within one pass they read it once anyway."""
    instruction, example = random_ids([40, 300], seed=3)
    prompts = with_prefix(instruction, [20] * 90, seed=4) + with_prefix(instruction + example, [20] * 3, seed=5)
    (group,) = groups_of(prompts, tokens_per_pass=1000)
    assert group.prefix.tolist() == instruction

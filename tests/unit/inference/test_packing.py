"""Packed batches: every prediction sees exactly its prompt and the label's beginning, at the right positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft.inference.label_tree import label_tree
from sft.inference.packing import PackedBatch, documents_of, pack, pack_chain, single_rows
from sft.inference.shared_prefixes import prefix_groups
from tests.label_scoring import rows_of
from tests.tiny_models import random_ids
from tests.unit.inference.test_label_tree import LABEL_SETS
from tests.unit.inference.test_shared_prefixes import PROMPTS

LABELS = [[7], [7, 8], [40, 41, 42], [40, 41, 43]]


def batches_of(
    prompts: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], max_tokens: int = 1000, multiple: int = 1
) -> list[tuple[list[int], PackedBatch]]:
    """The prefix and the packed rows of every group."""
    tree = label_tree(labels)
    rows = rows_of(prompts, tree)
    return [
        (group.prefix.tolist(), pack(list(documents_of(group, max_tokens)), multiple))
        for group in prefix_groups(rows, 1000)
    ]


def seen_by(batch: PackedBatch, token: int) -> list[int]:
    """The batch's tokens that a token sees, in order, by the promise about `ends` and `starts`."""
    start = int(batch.starts[np.searchsorted(batch.starts, token, side="right") - 1])
    return [i for i in range(start, token + 1) if token < batch.ends[i]]


def check(
    prefix: list[int], batch: PackedBatch, prompts: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]
) -> None:
    """For every label of every row: what its tokens are predicted from, put together from the packed tokens."""
    found: dict[int, list[tuple[list[int], int]]] = {}
    for edge, token, cell in zip(batch.edge_rows, batch.edge_tokens, batch.edge_cells, strict=True):
        at = int(batch.scored[edge])
        seen = seen_by(batch, at)
        context = prefix + batch.tokens[seen].tolist()
        assert batch.positions[seen].tolist() == list(range(len(prefix), len(context)))
        found.setdefault(int(cell), []).append((context, int(token)))
    for number, row in enumerate(batch.rows):
        for column, label in enumerate(labels):
            expected = [([*prompts[row.place], *label[:i]], token) for i, token in enumerate(label)]
            assert sorted(found.pop(number * len(labels) + column), key=lambda edge: len(edge[0])) == expected
    assert not found


@given(PROMPTS, LABEL_SETS, st.sampled_from([10, 1000]), st.sampled_from([1, 64]))
def test_every_prediction_sees_its_prompt_and_the_beginning_of_its_label(
    prompts: list[list[int]], labels: list[list[int]], max_tokens: int, multiple: int
) -> None:
    batches = batches_of(prompts, labels, max_tokens, multiple)
    assert sorted(row.place for _, batch in batches for row in batch.rows) == list(range(len(prompts)))
    for prefix, batch in batches:
        check(prefix, batch, prompts, labels)
        assert len(batch.tokens) % multiple == 0


def test_tokens_that_rows_share_beyond_the_prefix_are_read_once() -> None:
    prefix, more, *tails = random_ids([40, 30, 4, 6, 5], seed=1)
    prompts = [prefix + more + tails[0], prefix + more + tails[1], prefix + tails[2]]
    ((found, batch),) = batches_of(prompts, LABELS)
    assert found == prefix
    assert len(batch.tokens) == 30 + 4 + 6 + 5 + 3 * len(label_tree(LABELS))


def test_documents_keep_to_their_limit_where_rows_can_be_parted() -> None:
    prefix, more, *tails = random_ids([40, 30, 4, 6, 5, 7], seed=1)
    tree = label_tree(LABELS)
    rows = rows_of([*(prefix + more + tail for tail in tails), prefix + tails[0]], tree)
    (group,) = prefix_groups(rows, 1000)
    documents = list(documents_of(group, max_tokens=55))
    assert max(document.n_tokens for document in documents) <= 55
    assert [len(document.rows) for document in documents if len(document.rows) > 1], "nothing was shared"
    assert documents[0].n_tokens == len(pack(documents[:1]).tokens)


def test_the_rows_of_a_document_can_be_read_alone() -> None:
    prefix, more, *tails = random_ids([40, 30, 4, 6], seed=1)
    prompts = [prefix + more + tail for tail in tails]
    tree = label_tree(LABELS)
    rows = rows_of([*prompts, prefix + tails[0]], tree)
    (group,) = prefix_groups(rows, 1000)
    shared = next(document for document in documents_of(group, 1000) if len(document.rows) > 1)
    alone = single_rows(shared)
    check(prefix, pack(alone), prompts, LABELS)
    assert sum(document.n_tokens for document in alone) == shared.n_tokens + 30


def test_what_fills_a_batch_up_sees_nothing_and_is_seen_by_nothing() -> None:
    ((_, batch),) = batches_of(random_ids([5, 9]), LABELS, multiple=32)
    real = 5 + 9 + 2 * len(label_tree(LABELS))
    assert len(batch.tokens) == 32
    assert [seen_by(batch, token) for token in range(real, 32)] == [[token] for token in range(real, 32)]
    assert batch.scored.max() < real


@pytest.mark.parametrize(("labels", "branches"), [([[1], [2]], False), ([[1, 2], [3]], True)])
def test_batches_of_plain_sequences_say_so(labels: list[list[int]], branches: bool) -> None:
    ((_, batch),) = batches_of(random_ids([5, 9]), labels)
    assert batch.branches is branches


def test_a_stretch_of_a_prefix_is_an_ordinary_sequence() -> None:
    batch = pack_chain(np.arange(10, 15), start=7)
    assert [seen_by(batch, token) for token in range(5)] == [list(range(token + 1)) for token in range(5)]
    assert batch.positions.tolist() == [7, 8, 9, 10, 11]
    assert not batch.branches

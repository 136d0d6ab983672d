"""Batches: every row once, longest first, of the size asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sft.inference.batching import run_in_batches

CPU = torch.device("cpu")


def batches(lengths: Sequence[int], batch_size: Any) -> list[list[tuple[int, int]]]:
    """The batches in order, each row as (its number, its length)."""
    seen: list[list[tuple[int, int]]] = []
    run_in_batches(
        list(enumerate(lengths)),
        lambda row: row[1],
        lambda batch: seen.append(list(batch)),
        batch_size=batch_size,
        device=CPU,
        description="testing",
    )
    return seen


@given(st.lists(st.integers(0, 9000), max_size=40), st.one_of(st.integers(1, 50), st.just("auto")))
def test_every_row_runs_once_and_the_longest_first(lengths: list[int], batch_size: Any) -> None:
    rows = [row for batch in batches(lengths, batch_size) for row in batch]
    assert sorted(rows) == list(enumerate(lengths))
    assert [length for _, length in rows] == sorted(lengths, reverse=True)


def test_a_given_batch_size_is_kept() -> None:
    assert [len(batch) for batch in batches([5] * 10, 4)] == [4, 4, 2]


def test_auto_takes_more_rows_the_shorter_they_are() -> None:
    sizes = [len(batch) for batch in batches([4000, *[1000] * 5, *[10] * 600], "auto")]
    assert sizes[0] == 1
    assert 1 < sizes[1] <= 5
    assert max(sizes) > 5
    assert all(size <= 256 for size in sizes)


def test_no_rows_are_no_batches() -> None:
    assert batches([], "auto") == []


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def run(batch: Sequence[int]) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        run_in_batches([1, 2], lambda row: row, run, batch_size=2, device=CPU, description="testing")

"""Steps of several processes hold the rows that a step of one process holds, also at the end of an epoch."""

from __future__ import annotations

from typing import Any

import pytest
from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
from datasets import Dataset
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler

from sft.prompting.labelled import IGNORED
from sft.training.even_epochs import NO_ROW, ROW, EvenSampler, can_be_filled, filled, fillers

SEED = 5


def steps_of_one(rows: int, batch: int, epoch: int) -> list[list[int]]:
    """As accelerate makes them."""
    order = SeedableRandomSampler(range(rows), data_seed=SEED)
    order.set_epoch(epoch)
    return list(BatchSampler(order, batch, drop_last=False))


def steps_of_several(rows: int, batch: int, processes: int, epoch: int) -> list[list[int]]:
    """Of each step, the rows of all processes; accelerate divides the batches among them."""
    order = EvenSampler(RandomSampler(range(rows)), fillers(rows, batch, processes), SEED)
    order.set_epoch(epoch)
    batches = BatchSampler(order, batch, drop_last=False)
    shards = []
    for process in range(processes):
        order.set_epoch(epoch)
        shards.append(list(BatchSamplerShard(batches, processes, process)))
    return [[i for part in parts for i in part] for parts in zip(*shards, strict=True)]


@pytest.mark.parametrize("rows", range(1, 20))
@pytest.mark.parametrize(("batch", "processes"), [(1, 2), (2, 2), (3, 2), (2, 4)])
def test_each_step_holds_the_rows_of_one_process_and_fillers(rows: int, batch: int, processes: int) -> None:
    for epoch in (0, 1):
        expected, found = steps_of_one(rows, batch * processes, epoch), steps_of_several(rows, batch, processes, epoch)
        assert [[i for i in step if i < rows] for step in found] == expected
        assert {len(step) for step in found} == {batch * processes}
        extra = sorted(i for step in found for i in step if i >= rows)
        assert extra == list(range(rows, rows + len(extra))), "each filler has a row of its own"


def test_one_process_needs_no_fillers() -> None:
    assert fillers(7, 4, 1) == 0


def test_another_order_is_kept() -> None:
    assert list(EvenSampler(SequentialSampler(range(3)), 2, SEED)) == [0, 1, 2, 3, 4]


def test_fillers_have_a_token_and_no_answer() -> None:
    rows: list[dict[str, Any]] = [
        {"input_ids": [7, 8, 9], "labels": [IGNORED, 8, 9]},
        {"input_ids": [5], "labels": [IGNORED]},
    ]
    dataset = Dataset.from_list(rows)
    assert list(filled(dataset, 2)) == [*rows, *[{"input_ids": [7], "labels": [IGNORED]}] * 2]
    assert can_be_filled(dataset)
    numbered = dataset.add_column(ROW, [0, 1])
    assert can_be_filled(numbered)
    assert filled(numbered, 2)[ROW] == [0, 1, NO_ROW, NO_ROW]
    assert not can_be_filled(dataset.add_column("seq_lengths", [[3], [1]])), "TRL has packed them"

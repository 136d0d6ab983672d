"""Epochs that end in the same step for several processes, with every row in them once.

Where the rows of an epoch don't fill the last step of all processes, accelerate repeats rows from the beginning. Here
rows without an answer take their place: they add nothing to the loss, which is that of one process with all the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import RandomSampler, Sampler

from sft.prompting.labelled import IGNORED

# The column that says which row is which, where an objective reads more of a row than its tokens.
ROW = "row"
NO_ROW = -1
_COLUMNS = {"input_ids", "labels"}


def fillers(rows: int, batch: int, processes: int) -> int:
    """How many rows are missing for each process to have the same number of whole batches."""
    return -rows % (batch * processes) if processes > 1 else 0


def filled(dataset: Any, count: int) -> Any:
    """The rows of a dataset with the columns `input_ids` and `labels`, and `count` of one token and no answer.

    Where rows have numbers, these have `NO_ROW`.
    """
    from datasets import Dataset, concatenate_datasets

    rows = {"input_ids": [dataset[0]["input_ids"][:1]] * count, "labels": [[IGNORED]] * count}
    if ROW in dataset.column_names:
        rows[ROW] = [NO_ROW] * count
    return concatenate_datasets([dataset, Dataset.from_dict(rows, features=dataset.features)])


def can_be_filled(dataset: Any) -> bool:
    """Not where the trainer has packed rows: they have further columns then."""
    return set(dataset.column_names) - {ROW} == _COLUMNS


class EvenSampler(Sampler[int]):
    """The rows in the order that one process would have, then the fillers.

    seed: of a random order, in which accelerate would put them in each epoch.
    """

    def __init__(self, rows: Sampler[int], count: int, seed: int) -> None:
        from accelerate.data_loader import SeedableRandomSampler

        if isinstance(rows, RandomSampler):
            rows = SeedableRandomSampler(rows.data_source, data_seed=seed)
        self._rows: Any = rows
        self._count = count

    def __iter__(self) -> Iterator[int]:
        yield from self._rows
        yield from range(len(self._rows), len(self))

    def __len__(self) -> int:
        return len(self._rows) + self._count

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self._rows, "set_epoch"):
            self._rows.set_epoch(epoch)

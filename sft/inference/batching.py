"""Running rows through a model in batches that fit."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from types import TracebackType
from typing import Literal, TypeVar

import torch

from sft.progress import progress_bar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
BatchSize = int | Literal["auto"]

_AUTO_TOKENS_PER_BATCH = {"cuda": 32_768, "mps": 8_192, "cpu": 4_096}
_AUTO_MAX_ROWS = 256


class BatchRunner:
    """Cuts lists of items into batches, and makes them smaller where memory runs out; what is finished stays.

    batch_size: rows in a batch; `auto` fills a batch up to `tokens` and at most `rows` rows. One runner may run several
    lists; limits that it had to lower stay low. A context manager, for the progress bar.
    """

    def __init__(self, batch_size: BatchSize, *, tokens: int, rows: int | None, total: int, description: str) -> None:
        self._tokens = tokens if batch_size == "auto" else None
        self._rows = rows if batch_size == "auto" else batch_size
        self._bar = progress_bar(total, description)

    def __enter__(self) -> BatchRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def run(
        self,
        items: Sequence[Item],
        work: Callable[[Sequence[Item]], None],
        *,
        tokens: Callable[[int, int, int], int],
        length: Callable[[Item], int],
        rows: Callable[[Item], int] = lambda item: 1,
        split: Callable[[Item], Sequence[Item]] = lambda item: [item],
    ) -> None:
        """Call `work` on batches of items, the longest first, so that items of a batch are about equally long.

        tokens: what a batch costs, of its number of items, its longest and their total length. rows: how many rows an
        item holds. split: parts of an item that is too large on its own. Raises what `work` raises, and torch's
        out-of-memory error for an item that can't be split.
        """
        waiting = sorted(items, key=length, reverse=True)
        while waiting:
            batch = self._next(waiting, tokens, length, rows)
            try:
                work(batch)
            except torch.cuda.OutOfMemoryError:
                parts = [part for item in waiting for part in split(item)] if len(batch) == 1 else waiting
                if len(batch) == 1 and len(split(batch[0])) == 1:
                    raise
                self._shrink(sum(map(rows, batch)), tokens(len(batch), length(batch[0]), sum(map(length, batch))))
                waiting = sorted(parts, key=length, reverse=True)
                continue
            waiting = waiting[len(batch) :]
            self._bar.update(sum(map(rows, batch)))

    def _next(
        self,
        waiting: Sequence[Item],
        tokens: Callable[[int, int, int], int],
        length: Callable[[Item], int],
        rows: Callable[[Item], int],
    ) -> Sequence[Item]:
        """The longest start of the list that is within the limits; at least one item."""
        total = n_rows = 0
        for n, item in enumerate(waiting):
            total += length(item)
            n_rows += rows(item)
            too_many = self._rows is not None and n_rows > self._rows
            too_long = self._tokens is not None and tokens(n + 1, length(waiting[0]), total) > self._tokens
            if n and (too_many or too_long):
                return waiting[:n]
        return waiting

    def _shrink(self, n_rows: int, n_tokens: int) -> None:
        self._rows = max(1, n_rows // 2)
        if self._tokens is not None:
            self._tokens = max(1, n_tokens // 2)
        logger.warning("out of memory with %d rows in a batch; going on with %d", n_rows, self._rows)
        gc.collect()
        torch.cuda.empty_cache()


def padded(n_items: int, longest: int, total: int) -> int:
    """The tokens of a batch whose items are padded to the longest."""
    return n_items * longest


def run_in_batches(
    items: Sequence[Item],
    length: Callable[[Item], int],
    work: Callable[[Sequence[Item]], None],
    *,
    batch_size: BatchSize,
    device: torch.device,
    description: str,
    unpadded: bool = False,
) -> None:
    """One list of padded rows, with limits for `auto` that depend on the device.

    unpadded: only rows of one length share a batch.
    """
    tokens = _AUTO_TOKENS_PER_BATCH.get(device.type, 4_096)
    with BatchRunner(
        batch_size, tokens=tokens, rows=_AUTO_MAX_ROWS, total=len(items), description=description
    ) as runner:
        if not unpadded:
            runner.run(items, work, tokens=padded, length=length)
            return
        for _, group in groupby(sorted(items, key=length, reverse=True), key=length):
            runner.run(list(group), work, tokens=padded, length=length)

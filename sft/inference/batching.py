"""Running rows through a model in batches that fit."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch

from sft.progress import progress_bar

logger = logging.getLogger(__name__)

Row = TypeVar("Row")

_AUTO_TOKENS_PER_BATCH = {"cuda": 32_768, "mps": 8_192, "cpu": 4_096}
_AUTO_MAX_ROWS = 256


def run_in_batches(
    rows: Sequence[Row],
    length: Callable[[Row], int],
    run: Callable[[Sequence[Row]], None],
    *,
    batch_size: int | Literal["auto"],
    device: torch.device,
    description: str,
) -> None:
    """Call `run` on batches of rows, the longest first, so that rows of a batch are about equally long.

    `auto` fills a batch up to a number of tokens that depends on the device. A batch that doesn't fit into memory is
    tried again in halves, and later batches stay as small; finished rows are kept.
    """
    waiting = sorted(rows, key=length, reverse=True)
    limit = batch_size if batch_size != "auto" else _AUTO_MAX_ROWS
    bar = progress_bar(len(waiting), description)
    while waiting:
        size = limit
        if batch_size == "auto":
            size = max(1, min(limit, _AUTO_TOKENS_PER_BATCH[device.type] // max(1, length(waiting[0]))))
        batch = waiting[:size]
        try:
            run(batch)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise
            limit = max(1, len(batch) // 2)
            logger.warning("out of memory with %d rows in a batch; going on with %d", len(batch), limit)
            gc.collect()
            torch.cuda.empty_cache()
            continue
        waiting = waiting[len(batch) :]
        bar.update(len(batch))
    bar.close()

"""Micro-batches and gradient checkpointing from the memory that is free, with the same rows for a step."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch

from sft.models.load import LoadedModel
from sft.prompting.labelled import IGNORED, LabelledIds
from sft.training.arguments import smaller_batches
from sft.training.fast.memory import ActivationSize, StepMemory, activation_size, step_memory

logger = logging.getLogger(__name__)

# The argument's old and new name; libraries have one of them, or both.
CHECKPOINTING = ("gradient_checkpointing", "activation_checkpointing")
_OF_FREE = 0.9  # allocators and kernels take some
# Smaller micro-batches than this leave a GPU idle; then layers are rather computed twice.
_ENOUGH_TOKENS = 4096
_DEVIATIONS = 3.0


class Fit(NamedTuple):
    """parts: what the batch is divided by. memory: of the longest micro-batch."""

    parts: int
    checkpointing: bool
    memory: StepMemory


def fit_memory(
    loaded: LoadedModel, args: Any, rows: Sequence[LabelledIds], *, compiled: bool, asked: Collection[str]
) -> dict[str, Any]:
    """Change `args` (an `SFTConfig`) so that flat batches fit into a GPU's free memory; what a record says of it.

    asked: the arguments that the user gave, which stay as they are. Elsewhere than on one GPU nothing is changed.
    """
    if loaded.device.type != "cuda" or args.world_size > 1:
        return {}
    given = [name for name in CHECKPOINTING if name in asked]
    size = activation_size(loaded.model, compiled=compiled)
    fit = fitting(
        loaded.model,
        size,
        rows,
        batch=args.per_device_train_batch_size,
        free=_free_bytes(loaded.device),
        checkpointing=bool(getattr(args, given[0])) if given else None,
    )
    for name in CHECKPOINTING:
        if hasattr(args, name) and not given:
            setattr(args, name, fit.checkpointing)
    if fit.parts > 1:
        logger.info("a batch of %d rows is computed in %d parts", args.per_device_train_batch_size, fit.parts)
        smaller_batches(args, fit.parts)
    return {
        "gradient_checkpointing": fit.checkpointing,
        "micro_batch": args.per_device_train_batch_size,
        "estimated_memory": fit.memory.total,
    }


def fitting(
    model: Any,
    size: ActivationSize,
    rows: Sequence[LabelledIds],
    *,
    batch: int,
    free: int,
    checkpointing: bool | None = None,
) -> Fit:
    """The largest micro-batch that fits, without gradient checkpointing unless it would have to be small.

    batch: rows of a batch. free: bytes beside the weights that are there already. checkpointing: whether it is used,
    where that isn't to be chosen. Where nothing fits, single rows with checkpointing, and what that needs.
    """
    lengths = [len(row.ids) for row in rows]
    answers = max(sum(label != IGNORED for label in row.labels) for row in rows)

    def fit(parts: int, checkpointed: bool) -> Fit:
        tokens = most_tokens(lengths, batch // parts)
        memory = step_memory(model, size, tokens=tokens, answers=answers * (batch // parts), checkpointing=checkpointed)
        return Fit(parts, checkpointed, memory)

    def fits(found: Fit) -> bool:
        return found.memory.total - found.memory.weights <= _OF_FREE * free

    divisors = [parts for parts in range(1, batch + 1) if batch % parts == 0]
    if checkpointing is not True:
        for parts in divisors:
            enough = most_tokens(lengths, batch // parts) >= _ENOUGH_TOKENS
            large_enough = parts == 1 or enough or checkpointing is False
            if large_enough and fits(fit(parts, False)):
                return fit(parts, False)
    if checkpointing is not False:
        for parts in divisors:
            if fits(fit(parts, True)):
                return fit(parts, True)
    return fit(batch, checkpointing is not False)


def most_tokens(lengths: Sequence[int], n: int) -> int:
    """Of n sequences drawn without replacement, but once in a thousand times; of the n longest, if that is less.

    Should a batch be larger still, memory runs out, and a run of a sweep begins again with smaller ones.
    """
    spread = statistics.pstdev(lengths) * math.sqrt(n)
    likely = n * statistics.fmean(lengths) + _DEVIATIONS * spread
    return min(math.ceil(likely), sum(sorted(lengths, reverse=True)[:n]))


def _free_bytes(device: torch.device) -> int:
    """What is free, or kept by torch without use."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))

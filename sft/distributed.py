"""Several processes that do one run together, as `torchrun` and `accelerate launch` start them.

All execute the same code. Rows are divided among them; what is written, and what is decided by looking at files, is
done by the first (`on_main`). A process on its own is the first of one: then nothing here talks to anybody, and torch
isn't imported.
"""

from __future__ import annotations

import datetime
import functools
import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sft.errors import SftError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")

_FAILURES = "sft/failures"
# Others wait while the first writes, or while one has longer rows. A process that is gone is noticed at once.
_PATIENCE = datetime.timedelta(days=7)


class OtherProcessError(Exception):
    """Another process has failed, and says why."""


def world_size() -> int:
    """How many processes do this run together."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """The number of this process, from 0 on."""
    return int(os.environ["RANK"]) if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this is the process that writes and decides."""
    return rank() == 0


def processes_here() -> int:
    """How many of the processes share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def refuse_several(what: str, fix: str) -> None:
    """Raise `SftError` where there are several processes, which `what` isn't for."""
    if world_size() > 1:
        raise SftError(f"{what} is for one process, and was started as {world_size()} (WORLD_SIZE)", fix)


def join() -> None:
    """Meet the other processes, on this one's own device. Everything below does it by itself.

    To be called before anything is put on a GPU.
    """
    if world_size() > 1:
        _group()


def leave() -> None:
    """Say goodbye at the end of a program in which nothing failed."""
    if world_size() > 1 and _group.cache_info().currsize:
        import torch

        torch.distributed.barrier(_group())
        torch.distributed.destroy_process_group()


def on_main(function: Callable[[], T]) -> T:
    """What the first process gets from the function, in all. The others don't call it, and wait until it is done.

    What it raises is raised in the first; in the others `OtherProcessError`.
    """
    if world_size() == 1:
        return function()
    if not is_main():
        succeeded, value = _sent_by_main(None)
        if not succeeded:
            raise OtherProcessError(value)
        result: T = value
        return result
    try:
        value = function()
    except Exception as error:
        _sent_by_main((False, str(error)))
        raise
    _sent_by_main((True, value))
    return value


def gathered(value: T) -> list[T]:
    """The values of all processes, in the order of their numbers. They travel as pickles."""
    if world_size() == 1:
        return [value]
    import torch

    values: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(values, value, group=_group())
    return values


def own_part(sizes: Sequence[int]) -> slice:
    """Of items of these sizes, the consecutive ones that this process works on."""
    return even_parts(sizes, world_size())[rank()]


def even_parts(sizes: Sequence[int], count: int) -> list[slice]:
    """`count` consecutive parts of about the same total size, that hold every item once. Parts may be empty."""
    # Each item belongs to the part that holds its middle.
    middles = [end - size / 2 for end, size in zip(accumulate(sizes), sizes, strict=True)]
    edges = [0, *(bisect_left(middles, sum(sizes) * part / count) for part in range(1, count)), len(sizes)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def own_file(path: Path) -> Path:
    """Where this process keeps what it adds to a file of that name: the file itself for the first."""
    return path if is_main() else path.with_name(f"{path.stem}-{rank()}{path.suffix}")


def same_tensors(tensors: Sequence[Any]) -> None:
    """Give all processes the values that the first has in these tensors."""
    if world_size() > 1:
        import torch

        join()
        for tensor in tensors:
            torch.distributed.broadcast(tensor.data, src=0)


def fails_first() -> bool:
    """Whether no other process has failed before; from now on, one has.

    What a process raises after another has failed mostly says no more than that the other is gone.
    """
    if world_size() == 1:
        return True
    try:
        return _store().add(_FAILURES, 1) == 1
    except RuntimeError:  # the store was kept by a process that is gone
        return False


def _sent_by_main(value: Any) -> Any:
    import torch

    values = [value]
    torch.distributed.broadcast_object_list(values, src=0, group=_group())
    return values[0]


@functools.cache
def _group() -> ProcessGroup:
    """For values that travel between processes, whatever device they compute on."""
    import torch
    from torch.distributed.distributed_c10d import PrefixStore

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=PrefixStore("sft/group", _store()),
            rank=rank(),
            world_size=world_size(),
        )
    group: ProcessGroup = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
    return group


@functools.cache
def _store() -> Store:
    """Where the launcher lets processes leave notes to each other."""
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(rendezvous("env://"))[0]
    return store

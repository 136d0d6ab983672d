"""Seconds, operations per second, and peak memory, on a GPU where there is one."""

from __future__ import annotations

import ctypes
import gc
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def timed(work: Callable[[], Any]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matmul_rate() -> float:
    """Operations per second of a large square product: bfloat16 on a GPU, float32 on a CPU."""
    on_gpu = torch.cuda.is_available()
    n = 8192 if on_gpu else 4096
    left, right = (torch.randn(n, n, device=device(), dtype=torch.bfloat16 if on_gpu else torch.float32) for _ in "ab")
    for _ in range(3):
        left @ right
    times = [timed(lambda: left @ right) for _ in range(20 if on_gpu else 3)]
    return 2.0 * n**3 / statistics.median(times)


class Peak(NamedTuple):
    total: int
    beside_weights: int


def peak_bytes(work: Callable[[], Any]) -> Peak:
    """On a GPU: what the allocator handed out at most. On a CPU: resident memory at most (Linux)."""
    if torch.cuda.is_available():
        free_memory()
        base = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        return Peak(peak, peak - base)
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    base = _resident("VmRSS")
    work()
    peak = _resident("VmHWM")
    return Peak(peak, peak - base)


def _resident(field: str) -> int:
    """Bytes, from the kernel's account of this process."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

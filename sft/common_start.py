"""With how many items two long sequences begin alike, found by comparing slices, which is done in C."""

from __future__ import annotations


def common_start(a: str | list[int], b: str | list[int]) -> int:
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low

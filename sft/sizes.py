"""Sizes, times and counts as people read them."""

from __future__ import annotations


def memory_size(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def counted(number: int, what: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def percent(part: float, whole: float) -> str:
    """ "12%", and "<1%" for what isn't nothing."""
    share = part / whole if whole else 0.0
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def first_few(names: list[str], at_most: int = 5) -> str:
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")

"""Progress bars for whatever takes longer than a second: on a terminal only, none when asked to be quiet."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

from sft.distributed import is_main

T = TypeVar("T")

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Turn all progress bars of this process off (or back on), those of the Hugging Face libraries once loaded."""
    global _quiet
    _quiet = quiet


def shows_progress() -> bool:
    return not _quiet and is_main() and sys.stderr.isatty()


def progress_bar(total: int, description: str) -> tqdm[None]:
    """A bar to be updated by hand and closed."""
    return tqdm(total=total, desc=description, disable=not shows_progress(), leave=False, delay=1.0)


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    bar: Iterable[T] = tqdm(items, desc=description, total=total, disable=not shows_progress(), leave=False, delay=1.0)
    return bar


def hush_libraries() -> None:
    """Give transformers and datasets the same rule: their bars are shown where ours are.

    Of several processes, the first tells what transformers warns of.
    """
    import datasets
    import transformers

    if not is_main():
        transformers.utils.logging.set_verbosity_error()
    if shows_progress():
        datasets.enable_progress_bars()
        transformers.utils.logging.enable_progress_bar()
    else:
        datasets.disable_progress_bars()
        transformers.utils.logging.disable_progress_bar()

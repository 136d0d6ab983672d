"""What `sft` would warn of, as values instead of lines on stderr."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from sft.logs import WarningCollector


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """The warnings of `sft` in here, each once. Nobody else hears them."""
    said: list[str] = []
    logger = logging.getLogger("sft")
    handlers, propagates = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [WarningCollector(said)], False
    try:
        yield said
    finally:
        logger.handlers, logger.propagate = handlers, propagates

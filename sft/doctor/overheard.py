"""What `sft` would warn of, as values instead of lines on stderr."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """The warnings of `sft` in here, each once. Nobody else hears them."""
    said: list[str] = []
    logger = logging.getLogger("sft")
    handlers, propagates = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_Listener(said)], False
    try:
        yield said
    finally:
        logger.handlers, logger.propagate = handlers, propagates


class _Listener(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(level=logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() not in self._said:
            self._said.append(record.getMessage())

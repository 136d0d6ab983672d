"""Logging of a process: our messages once each, libraries' warnings once each instead of once per batch."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator


def configure_logging(level: int) -> None:
    """Messages of at least `level` to stderr. `run.log` files get ours from INFO on, whatever the level is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handler.setLevel(level)
    handler.addFilter(_Once())
    handler.addFilter(_is_no_missing_kernel)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("sft").setLevel(logging.INFO)
    # Announcements of what a library will rename are for its callers' authors, not for their users.
    warnings.simplefilter("ignore", FutureWarning)
    # It has a handler of its own, above the root's; torchao makes it speak whenever PEFT imports it.
    logging.getLogger("torch.utils._pytree").addFilter(_is_no_announcement)


def _is_no_announcement(record: logging.LogRecord) -> bool:
    return "is deprecated" not in record.getMessage()


def _is_no_missing_kernel(record: logging.LogRecord) -> bool:
    """False for what bitsandbytes and torchao say whenever they are imported: which fast kernels aren't there."""
    of_kernels = record.name.startswith(("bitsandbytes", "torchao"))
    return not (of_kernels and record.getMessage().startswith("Failed to load"))


class _Once(logging.Filter):
    """Lets every message of a logger through once: bitsandbytes, for one, repeats a warning for every batch."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[str, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, record.getMessage())
        new = key not in self._seen
        self._seen.add(key)
        return new


class WarningCollector(logging.Handler):
    """Adds warnings to `messages`, each once: trainings on folds repeat what the run's own training warns of."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(level=logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() not in self._messages:
            self._messages.append(record.getMessage())


@contextlib.contextmanager
def remembering() -> Iterator[list[logging.LogRecord]]:
    """What `sft` logs in here, for `say_again`."""
    said: list[logging.LogRecord] = []
    handler = _Remembers(said)
    logger = logging.getLogger("sft")
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


class _Remembers(logging.Handler):
    def __init__(self, said: list[logging.LogRecord]) -> None:
        super().__init__()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record)


def say_again(said: Iterable[logging.LogRecord]) -> None:
    """Log messages once more: a run that needn't do something over still tells what there was to tell of it."""
    for record in said:
        logging.getLogger(record.name).handle(record)

"""Being asked to stop: at once where nothing would be lost, else as soon as what is being done can be saved.

`install` makes SIGINT and SIGTERM such requests. The second request stops at once.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_asked = False
_saving = 0


def install() -> None:
    signal.signal(signal.SIGINT, _on_signal)
    signal.signal(signal.SIGTERM, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    ask_to_stop()


def ask_to_stop() -> None:
    """Raise `KeyboardInterrupt`, unless in a `saves_when_asked` that hasn't been asked before."""
    global _asked
    again, _asked = _asked, True
    if again or _saving == 0:
        raise KeyboardInterrupt


def asked_to_stop() -> bool:
    return _asked


@contextlib.contextmanager
def saves_when_asked() -> Iterator[None]:
    """In here, somebody looks at `asked_to_stop` and saves what there is; `KeyboardInterrupt` is raised at the end."""
    global _saving
    _saving += 1
    try:
        yield
    finally:
        _saving -= 1
    if _asked:
        raise KeyboardInterrupt

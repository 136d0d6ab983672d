"""Tables and texts on stdout."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

from rich.console import Console


class StdoutConsole(Console):
    """As wide as the terminal, or `width` columns where stdout is a file or a pipe."""

    def __init__(self, width: int, *, highlight: bool = True) -> None:
        super().__init__(width=None if sys.stdout.isatty() else width, highlight=highlight)

    def on_broken_pipe(self) -> NoReturn:
        """Nobody reads any more. Ends as a failed `print` does; rich would end with 1, as if runs had failed."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

"""Who decides what no option says: the person at the terminal, or, with `--yes`, the data."""

from __future__ import annotations

import contextlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn, TypeVar

import typer

T = TypeVar("T")


class Asker(ABC):
    """Settles questions. option: the one that would have answered; read: text → value, raises `SftError`."""

    answers = False
    """Whether somebody is there to answer what has no default."""

    @abstractmethod
    def ask(self, question: str, default: str | None, option: str, read: Callable[[str], T]) -> T: ...

    def tell(self, text: str) -> None:
        print(text, file=sys.stderr)


class Terminal(Asker):
    """Asks until the answer can be used. Ctrl-C and the end of input interrupt the command."""

    answers = True

    def ask(self, question: str, default: str | None, option: str, read: Callable[[str], T]) -> T:
        from sft.errors import SftError

        while True:
            try:
                # Even with `err`, click prints a space to stdout, which is for results.
                with contextlib.redirect_stdout(sys.stderr):
                    text = typer.prompt(question, default=default, err=True)
                return read(str(text))
            except SftError as error:
                self.tell(str(error))
            except typer.Abort:
                raise KeyboardInterrupt from None


class Decided(Asker):
    """Takes what the data suggests, and says so."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def ask(self, question: str, default: str | None, option: str, read: Callable[[str], T]) -> T:
        if default is None:
            _unanswered(question, f"give {option}")
        self.tell(f"{question}: {default} ({option})")
        return read(default)

    def tell(self, text: str) -> None:
        if not self._quiet:
            super().tell(text)


class Nobody(Asker):
    """Neither a terminal nor `--yes`: every question is a mistake."""

    def ask(self, question: str, default: str | None, option: str, read: Callable[[str], T]) -> T:
        taken = "" if default is None else f", or --yes to take {default!r} and whatever else isn't given"
        _unanswered(question, f"give {option}{taken}")


def _unanswered(question: str, fix: str) -> NoReturn:
    from sft.errors import SftError

    raise SftError(f"{question}? There is no terminal to ask", fix)


def asker(yes: bool, quiet: bool) -> Asker:
    if yes:
        return Decided(quiet)
    return Terminal() if sys.stdin.isatty() and sys.stderr.isatty() else Nobody()

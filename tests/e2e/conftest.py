"""Commands in this process, because importing torch anew for each takes seconds."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sft import cli


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def sft(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ended]]:
    """Runs the entry point in this process."""
    root, own = logging.getLogger(), logging.getLogger("sft")
    before = (root.handlers[:], root.level, own.level)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["sft", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return Ended(int(caught.value.code or 0), captured.out, captured.err)

    yield run
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])

"""Whether commands and options exist, without doing what they say."""

from __future__ import annotations

import itertools
import shlex
from typing import Any

import typer

from sft.cli import app
from tests.docs.blocks import Block

_OPERATORS = {"|", "||", "&", "&&", ";", ">", ">>", "<", "2>"}


def understood(command: str) -> list[list[str]]:
    """The words after `sft` of a command, or after `-m sft.cli` of a launcher; nothing for other programs."""
    words = list(itertools.takewhile(lambda word: word not in _OPERATORS, shlex.split(command, comments=True)))
    if "sft.cli" in words:
        return [words[words.index("sft.cli") + 1 :]]
    return [words[words.index("sft") + 1 :]] if "sft" in words[:2] else []


def check_options(words: list[str], block: Block) -> None:
    """Raises `AssertionError`, naming the place, for what the command line would refuse."""
    command: Any = typer.main.get_command(app)
    names, rest = "sft", words
    while hasattr(command, "commands"):
        assert rest, f"{block.place}: no command after {names}"
        assert rest[0] in command.commands, f"{block.place}: {names} has no command {rest[0]!r}"
        command, names, rest = command.commands[rest[0]], f"{names} {rest[0]}", rest[1:]
    try:
        command.make_context(names, list(rest))
    except Exception as error:  # click's own, which typer may bring along under another name
        if getattr(error, "exit_code", 1):  # 0: after --help
            raise AssertionError(f"{block.place}: {names}: {getattr(error, 'message', error)}") from error

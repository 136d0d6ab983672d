"""The reference of the command line: `python -m sft.cli.reference` prints docs/cli.md from the commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from sft.cli import app

_EXAMPLE = "Example: "


class Command(NamedTuple):
    """A command under its full name, e.g. `sft results compare`. parsed: typer's object, of click's shape."""

    name: str
    parsed: Any


def commands() -> Iterator[Command]:
    """All commands, groups left out, in the order of `--help`."""
    return _inside(Command("sft", typer.main.get_command(app)))


def reference() -> str:
    """Markdown: the hand-written introduction, then for each command what it does, its usage, examples and options."""
    introduction = (Path(__file__).parent / "reference.md").read_text(encoding="utf-8").rstrip()
    return "\n\n".join([introduction, *map(section, commands())]) + "\n"


def section(command: Command) -> str:
    paragraphs = [" ".join(part.split()) for part in (command.parsed.help or "").split("\n\n")]
    examples = [part.removeprefix(_EXAMPLE) for part in paragraphs if part.startswith(_EXAMPLE)]
    prose = [part for part in paragraphs if not part.startswith(_EXAMPLE)]
    arguments = [each for each in command.parsed.params if each.param_type_name == "argument"]
    options = [each for each in command.parsed.params if each.param_type_name == "option" and not each.hidden]
    usage = " ".join([command.name, *(["[OPTIONS]"] if options else []), *map(_placeholder, arguments)])
    parts = [f"## {command.name}", *prose, _code("text", [usage])]
    if examples:
        parts += ["Examples:" if len(examples) > 1 else "Example:", _code("sh", examples)]
    rows = [_row(f"`{_placeholder(each)}`", each) for each in arguments] + [
        _row(_flags(each), each) for each in options
    ]
    if rows:
        parts.append("\n".join(["| | meaning | default |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _inside(command: Command) -> Iterator[Command]:
    inner = getattr(command.parsed, "commands", None)
    if inner is None:
        yield command
        return
    for name, parsed in inner.items():
        if not parsed.hidden:
            yield from _inside(Command(f"{command.name} {name}", parsed))


def _code(language: str, lines: Sequence[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def _placeholder(argument: Any) -> str:
    text = argument.metavar or argument.name.upper()
    return text if argument.required else f"[{text}]"


def _flags(option: Any) -> str:
    names = [*sorted(option.opts, key=len), *option.secondary_opts]
    value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    return ", ".join(f"`{name}{value}`" for name in names)


def _row(name: str, parameter: Any) -> str:
    meaning = " ".join((parameter.help or "").split()).replace("|", "\\|")
    return f"| {name} | {meaning} | {_default(parameter)} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    # Where nothing is the default, the help says what that means; a flag that isn't given is off.
    return f"`{parameter.default}`" if parameter.default not in (None, False, ()) else ""


if __name__ == "__main__":
    print(reference(), end="")

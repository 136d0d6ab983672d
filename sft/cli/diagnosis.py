"""A diagnosis as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from sft.doctor.diagnose import Diagnosis
    from sft.doctor.several import Common

_LEVEL_STYLES = {"error": "bold red", "warn": "yellow", "skipped": "dim", "ok": "green"}
# Brackets tell what colours tell, where there are none.
_LOSS_BEGINS, _LOSS_ENDS = "⟦", "⟧"
_SHOWN_OF_A_PIECE = 600
_LINES = frozenset("\n\t")


def print_diagnoses(diagnoses: Mapping[str, Diagnosis], *, quiet: bool = False) -> None:
    """quiet: errors and warnings alone."""
    from sft.cli.console import StdoutConsole
    from sft.doctor.several import common
    from sft.sizes import counted

    console = StdoutConsole(120, highlight=False)
    every = common(diagnoses)
    found = [each for each in every if each.finding.level != "ok" or len(each.configs) == len(diagnoses)]
    if quiet:
        every = found = [each for each in every if each.finding.level in ("error", "warn")]
    for text in _prompts(every):
        console.print(text, soft_wrap=True)
    if found:
        console.print(_table(_folded(found), len(diagnoses)))
    counts = {level: sum(each.finding.level == level for each in found) for level in ("error", "warn")}
    console.print(f"{counted(counts['error'], 'error')}, {counted(counts['warn'], 'warning')}")
    if len(found) < len(every):
        hidden = len(every) - len(found)
        are = f"{counted(hidden, 'finding')} {'is' if hidden == 1 else 'are'}"
        console.print(f"{are} ok of some configs: --only NAME shows those of one")


def _table(found: Sequence[Common], n_configs: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=False)
    for title in ("", "check", "finding", *(["configs"] if n_configs > 1 else [])):
        table.add_column(title, overflow="fold")
    for finding, configs in found:
        message = Text(printable(finding.message))
        if finding.fix is not None:
            message.append(f"\nfix: {printable(finding.fix)}", style="italic")
        cells = [Text(finding.level, style=_LEVEL_STYLES[finding.level]), Text(finding.check), message]
        table.add_row(*cells, *([Text(_names(configs, n_configs))] if n_configs > 1 else []))
    return table


def _folded(found: Sequence[Common]) -> list[Common]:
    """What was skipped for the same reason is one line, with the names of all checks."""
    lines: dict[tuple[str, ...], Common] = {}
    for each in found:
        finding = each.finding
        key = (finding.level, finding.message, *each.configs, "" if finding.level == "skipped" else finding.check)
        if key in lines:
            finding = replace(finding, check=f"{lines[key].finding.check}, {finding.check}")
        lines[key] = each._replace(finding=finding)
    return list(lines.values())


def _names(configs: Sequence[str], total: int) -> str:
    if len(configs) == total:
        return "all"
    more = f" and {len(configs) - 3} more" if len(configs) > 3 else ""
    return ", ".join(configs[:3]) + more


def _prompts(found: Sequence[Common]) -> Iterator[Text]:
    """Those of the first config that has some."""
    from rich.text import Text

    of_configs = [each.finding for each in found if each.finding.check == "prompts" and each.finding.level == "ok"]
    shown = of_configs[0].details["prompts"] if of_configs else []
    for number, prompt in enumerate(shown, start=1):
        yield Text(f"{prompt['stage']} prompt {number}, {prompt['tokens']} tokens", style="bold")
        yield _prompt(prompt)
    if any(piece["in_loss"] for prompt in shown for piece in prompt["pieces"]):
        yield Text(f"{_LOSS_BEGINS}…{_LOSS_ENDS} is in the loss; special tokens are in reverse\n", style="dim")


def _prompt(prompt: Mapping[str, Any]) -> Text:
    from rich.text import Text

    text, inside = Text(), False
    for piece in prompt["pieces"]:
        if piece["in_loss"] != inside:
            inside = piece["in_loss"]
            text.append(_LOSS_BEGINS if inside else _LOSS_ENDS, style="bold green")
        style = ("bold green underline" if inside else "") + (" reverse" if piece["special"] else "")
        text.append(_shortened(printable(piece["text"])), style=style.strip())
    text.append(f"{_LOSS_ENDS if inside else ''}\n", style="bold green")
    if prompt["answers"]:
        answers = " | ".join(_shortened(printable(answer)) for answer in prompt["answers"])
        text.append(f"scored after it: {_shortened(answers)}\n", style="cyan")
    return text


def _shortened(text: str) -> str:
    """Without its middle, where that is long."""
    if len(text) <= _SHOWN_OF_A_PIECE:
        return text
    half = _SHOWN_OF_A_PIECE // 2
    return f"{text[:half]} [… {len(text) - 2 * half} characters …] {text[-half:]}"


def printable(text: str) -> str:
    """Without what a terminal would obey: data may hold any character."""
    return "".join(c if c.isprintable() or c in _LINES else c.encode("unicode_escape").decode() for c in text)

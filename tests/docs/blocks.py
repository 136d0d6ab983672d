"""The code blocks of the documentation: what each is, and why it isn't run where it isn't."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

PAGES = sorted(
    [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")],
    key=lambda path: str(path.relative_to(REPOSITORY)),
)
REASONS = {
    "needs a GPU",
    "needs the hub",
    "needs a cluster",
    "needs several processes",
    "needs files of your own",
    "installs packages",
    "minutes long",
    "part of a record",
    "tested by itself",  # by a test of its own, which reads the block from the page
}
READ_ONLY = {REPOSITORY / "docs/cli.md"}
"""Pages with examples of files that nobody has: their commands are parsed, and not run."""
RUN = {"sh", "python", "json", "jsonnet"}
SHOWN = {"text", "diff", "yaml"}
"""Blocks that are read only: output, changes and other programs' files."""
_FENCE = re.compile(r"^( *)(`{3,})([^`]*)$")
_MARK = re.compile(r"^<!-- not run: (.+) -->$")


@dataclass(frozen=True)
class Block:
    """title: the file that it stands for (`title="name"` after the language). reason: why it isn't run, if it isn't."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    return list(_blocks(page, page.read_text(encoding="utf-8").splitlines()))


def file_of(page: Path, title: str) -> str:
    """The text of the file that a page shows under this name."""
    (text,) = [block.text for block in blocks_of(page) if block.title == title]
    return text


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    i = 0
    while i < len(lines):
        fence = _FENCE.match(lines[i])
        if fence is None:
            i += 1
            continue
        end = next(j for j in range(i + 1, len(lines)) if lines[j].strip() == fence[2])
        language, _, rest = fence[3].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        before = next((line for line in reversed(lines[:i]) if line.strip()), "")
        mark = _MARK.match(before.strip())
        text = "\n".join(line.removeprefix(fence[1]) for line in lines[i + 1 : end]) + "\n"
        yield Block(page, i + 1, language, title and title[1], text, mark and mark[1])
        i = end + 1


def commands_of(text: str) -> list[str]:
    """The commands of a shell block, each on one line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]

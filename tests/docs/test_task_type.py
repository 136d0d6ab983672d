"""docs/extending/task-type.md: its changes, made in a copy of the package, give a task type that works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.docs.blocks import Block, blocks_of
from tests.fakes import write_jsonl

BLOCKS = blocks_of(REPOSITORY / "docs/extending/task-type.md")


def make_changes(folder: Path) -> None:
    for block in BLOCKS:
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        if block.language == "diff":
            for path, hunk in re.findall(r"^--- (\S+)\n((?:[-+].*\n)*?)(?=^--- |\Z)", block.text, flags=re.M):
                change(folder / path, hunk.splitlines())


def change(path: Path, hunk: list[str]) -> None:
    before, after = ("\n".join(line[1:] for line in hunk if line[0] == sign) for sign in "-+")
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path}: the page changes what isn't there once: {before}"
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_the_changes_of_the_page_make_a_task_type(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "sft", tmp_path / "sft", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "etc").symlink_to(REPOSITORY / "etc")
    make_changes(tmp_path)
    rows = [{"text": "so good", "stars": 5}, {"text": "so bad", "stars": "1.0"}]
    for split in ("train", "test"):
        write_jsonl(tmp_path / f"ratings/{split}.jsonl", [{**row, "text": f"{split}: {row['text']}"} for row in rows])
    done = run(tmp_path, *command())
    assert done.returncode == 0, done.stderr
    assert re.search(r"^near\s+0\.", done.stdout, flags=re.M), done.stdout


def command() -> list[str]:
    (block,) = [block for block in BLOCKS if block.language == "sh"]
    program, *arguments = block.text.split()
    assert program == "sft"
    return arguments


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sft.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_has_files_changes_a_config_and_a_command() -> None:
    def titles(blocks: list[Block]) -> list[str]:
        return [block.title for block in blocks if block.title]

    assert len(titles(BLOCKS)) == 4
    assert {block.language for block in BLOCKS} == {"python", "diff", "json", "sh"}

"""What benchmark results are signed with."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit() -> str:
    """The checked-out commit, with a `+` where the tree has changes beside it."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", "../sft") else "")

"""Where what runs print is kept."""

from __future__ import annotations

from pathlib import Path

_TAIL = 2000


def log_path(results_path: Path, name: str) -> Path:
    """Of a run, or of a worker between runs."""
    safe = "".join(character if character.isalnum() or character in "-_.=" else "_" for character in name)[:150]
    return results_path / "logs" / f"{safe}.log"


def tail(log: Path) -> str:
    """The end of a log; nothing where there is none."""
    if not log.exists():
        return ""
    return log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()

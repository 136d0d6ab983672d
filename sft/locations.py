"""Local paths and hub ids: telling them apart without guessing."""

from __future__ import annotations

import re
from pathlib import Path

from sft.errors import SftError

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_FILE_ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".jinja", ".safetensors", ".gguf")


def local_path(name: str, key: str) -> Path | None:
    """The local file or folder that `name` means (relative to the working directory), or None for a hub id.

    Raises `SftError` where `name` looks like a path (starts with `.`, `/` or `~`, ends like a file, has several
    slashes, or its first folder exists) and nothing is there: a mistyped path is never asked of the hub.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    first_folder_exists = len(path.parts) > 1 and Path(path.parts[0]).is_dir()
    looks_local = name.startswith((".", "/", "~")) or name.endswith(_FILE_ENDINGS) or "\\" in name
    if looks_local or first_folder_exists or not _HUB_ID.fullmatch(name):
        raise SftError(
            f"{key}: no file or folder {name!r} (working directory: {Path.cwd()})", f"mend the path{_nearest(path)}"
        )
    return None


def _nearest(path: Path) -> str:
    """What does exist on the way to a missing path, for the error message."""
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        return ""
    names = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))[:10]
    return f"; {parent}/ holds: {', '.join(names)}" if names else f"; {parent}/ is empty"

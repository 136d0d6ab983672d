"""What a page is made of, so that the page of a sweep in which nothing was left to do isn't made again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sft.planned import PLANS
from sft.records import ITEMS_FILE, RECORD_FILE
from sft.reporting.find import run_folders

_NAME = "sft-source"
_WITHIN = 4096  # bytes from the start of a page


def source_of(paths: Sequence[Path]) -> str:
    """A digest of all records and plans, of how large items are, and of the page's templates, scripts and styles."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for folder in ("templates", "static"):
        for file in sorted((here / folder).rglob("*.*")):
            digest.update(file.read_bytes())
    for path in paths:
        for name, content in _files(path):
            digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


def is_made_of(page: Path, source: str) -> bool:
    """Whether a page that was written has this digest."""
    if not page.is_file():
        return False
    with page.open("rb") as file:
        return source_tag(source).encode() in file.read(_WITHIN)


def source_tag(source: str) -> str:
    return f'<meta name="{_NAME}" content="{source}">'


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    for folder in run_folders(path):
        yield folder.name, _content(folder / RECORD_FILE)
        items = folder / ITEMS_FILE
        yield ITEMS_FILE, str(items.stat().st_size).encode() if items.exists() else b""
    for plan in sorted((path / PLANS).glob("*.json")):
        yield plan.name, _content(plan)


def _content(file: Path) -> bytes:
    """Nothing of a file that can't be read: whoever reads the records says so on the page."""
    try:
        return file.read_bytes()
    except OSError:
        return b""

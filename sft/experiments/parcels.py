"""Folders of runs that travel between machines that share no folder: a tar archive, unpacked by renames."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from sft.records import RECORD_FILE

_CHUNK = 8 * 2**20


def pack(root: Path, names: Sequence[str]) -> Iterator[bytes]:
    """Files and folders below `root`, as pieces of an archive that is never in memory as a whole."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name in names:
                archive.add(root / name, arcname=name)
        file.seek(0)
        while piece := file.read(_CHUNK):
            yield piece


def unpack(archive: IO[bytes], root: Path) -> None:
    """Put the files of an archive below `root`, by renames; records come last, so that whoever sees one sees all.

    A record that is there goes first: files of two attempts at a run are never taken for one.
    """
    root.mkdir(parents=True, exist_ok=True)
    fetched = Path(tempfile.mkdtemp(prefix=".fetched-", dir=root))
    try:
        with tarfile.open(fileobj=archive) as opened:
            opened.extractall(fetched, filter="data")
        files = sorted(path.relative_to(fetched) for path in fetched.rglob("*") if path.is_file())
        records = [file for file in files if file.name == RECORD_FILE]
        for record in records:
            (root / record).unlink(missing_ok=True)
        for file in [*(file for file in files if file.name != RECORD_FILE), *records]:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (fetched / file).replace(root / file)
    finally:
        shutil.rmtree(fetched)

"""Long work on rows in parts that are kept as they are finished, so that it can go on where it was stopped."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Shards(Protocol):
    """Finished parts, by a key that says what is in them."""

    def get(self, key: str) -> NDArray[Any] | None: ...

    def put(self, key: str, values: NDArray[Any]) -> None: ...


class ShardFolder:
    """One `.npy` file for each part, there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> NDArray[Any] | None:
        path = self._folder / f"{key}.npy"
        if not path.exists():
            return None
        values: NDArray[Any] = np.load(path, allow_pickle=False)
        return values

    def put(self, key: str, values: NDArray[Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{key}.{os.getpid()}.tmp"
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        with temporary.open("wb") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / f"{key}.npy")


def key_of(*parts: object) -> str:
    """Of what determines the values of a part, a name for its file."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass"))
        digest.update(b"\x00")
    return digest.hexdigest()[:24]


def parts(sizes: Sequence[int], limit: int) -> Iterator[slice]:
    """Consecutive parts of about `limit` in size, at least one item each. Depends on the sizes alone."""
    start = total = 0
    for i, size in enumerate(sizes):
        if total and total + size > limit:
            yield slice(start, i)
            start, total = i, 0
        total += size
    yield slice(start, len(sizes))

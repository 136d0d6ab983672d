"""Texts of rows that have ended, written as they come, so that a run can go on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO


class FinishedRows:
    """A file of JSON lines that is only ever added to. What a stop left of a last line is taken away.

    A context manager, that closes the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._texts: dict[str, str] = {}
        self._file: IO[bytes] | None = None
        if path.exists():
            written = path.read_bytes()
            whole = written[: written.rfind(b"\n") + 1]
            for line in whole.splitlines():
                item = json.loads(line)
                self._texts[item["key"]] = item["text"]
            if len(whole) < len(written):
                with path.open("r+b") as file:
                    file.truncate(len(whole))

    def get(self, key: str) -> str | None:
        return self._texts.get(key)

    def put(self, key: str, text: str) -> None:
        """It has left this process when the call returns."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        self._file.write(json.dumps({"key": key, "text": text}).encode() + b"\n")
        self._texts[key] = text

    def remove(self) -> None:
        """They are elsewhere now."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> FinishedRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

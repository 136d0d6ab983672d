"""The record of one run: everything that a report or a sceptical reader needs, in one folder.

`<results path>/<slug>-<run id>/` holds `items.jsonl` (one row per test item), for scored labels `support.jsonl` (one
row per input that was scored beside them, for calibration), `run.log`, where asked for `adapter/` and, last,
`record.json`: the run is complete when that file is renamed into place. Nothing here knows how a run is made.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from sft.errors import SftError

SCHEMA_VERSION = 2
_READABLE = (1, 2)  # 1 lacked `plan_id`, `inputs` and `resources`
RECORD_FILE = "record.json"
ITEMS_FILE = "items.jsonl"
SUPPORT_FILE = "support.jsonl"
LOG_FILE = "run.log"
ADAPTER_FOLDER = "adapter"
UNFINISHED = "unfinished"

# Only between line breaks, which no JSON string holds.
_NUMBER_LIST = re.compile(r"\[\n([-\d.eE+,\s]+)\n\s*\]")


@dataclass
class RunRecord:
    """One run, finished or failed.

    results: metric name → value (scalars, and nested tables such as `per_class`); `baselines` holds the same for
    the label-budget-equal baselines, and predictions. timings: seconds by stage. counts: rows, shots, truncations.
    data: fingerprints and duplicates. error: what stopped a failed run. plan_id: identifies what was asked for
    before any data was read (the config without what no result depends on); runs of one plan id differ in their
    data. inputs: local files that the run read, with size and time of change, by path. resources: peak memory, and
    whether memory ran out.
    """

    run_id: str
    slug: str
    status: Literal["completed", "failed"]
    seed: int
    config: dict[str, Any]
    name: str | None = None
    results: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    inference: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    timings: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    plan_id: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    started_at: str = ""
    finished_at: str = ""
    schema_version: int = SCHEMA_VERSION

    @property
    def folder_name(self) -> str:
        return f"{self.slug}-{self.run_id}"


def write_record(record: RunRecord, folder: Path) -> Path:
    """Write `record.json` into `folder` by rename, so that a reader sees the whole record or none."""
    path = folder / RECORD_FILE
    write_json(path, asdict(record))
    return path


def read_record(folder: Path) -> RunRecord:
    """Read a record; one of an earlier schema version gets the defaults of what it lacks.

    Raises `SftError` for a record of an unknown schema version or with keys that this version doesn't know.
    """
    path = folder / RECORD_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SftError(f"{path}: not a run record: {error}") from error
    if not isinstance(values, dict):
        raise SftError(f"{path}: not a run record: it holds no object")
    version = values.get("schema_version")
    if version not in _READABLE or isinstance(version, bool):
        raise SftError(
            f"{path}: schema version {version!r}, this version of sft reads {', '.join(map(str, _READABLE))}",
            "run the experiment again, or read it with the version of sft that wrote it",
        )
    try:
        return RunRecord(**{**values, "schema_version": SCHEMA_VERSION})
    except TypeError as error:
        raise SftError(f"{path}: not a run record: {error}") from error


def find_records(results_path: Path) -> Iterator[tuple[Path, RunRecord]]:
    """Every record directly under `results_path`, in the order of folder names."""
    for path in sorted(results_path.glob(f"*/{RECORD_FILE}")):
        yield path.parent, read_record(path.parent)


def write_items(folder: Path, items: Iterable[Mapping[str, Any]]) -> Path:
    """Write one JSON object a line, by rename."""
    return _write_lines(folder / ITEMS_FILE, items)


def read_items(folder: Path) -> list[dict[str, Any]]:
    return _read_lines(folder / ITEMS_FILE)


def write_support(folder: Path, inputs: Iterable[Mapping[str, Any]]) -> Path:
    """Like `write_items`, for the inputs that were scored beside the test rows."""
    return _write_lines(folder / SUPPORT_FILE, inputs)


def share_support(source: Path, folder: Path) -> None:
    """Give `folder` the `support.jsonl` of another run, if that has one.

    It is the same file under a second name where the file system allows hard links (all writing is by rename, which
    leaves the other name alone), else a copy.
    """
    original, path = (source / SUPPORT_FILE).resolve(), folder / SUPPORT_FILE
    if not original.exists():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(original, temporary)
    except OSError:
        shutil.copyfile(original, temporary)
    temporary.replace(path)
    temporary.unlink(missing_ok=True)  # renaming does nothing where both names are of one file already


def read_support(folder: Path) -> list[dict[str, Any]]:
    """None are there where labels weren't scored."""
    path = folder / SUPPORT_FILE
    return _read_lines(path) if path.exists() else []


def _write_lines(path: Path, items: Iterable[Mapping[str, Any]]) -> Path:
    write_text(path, "".join(json.dumps(_finite(dict(item)), ensure_ascii=False) + "\n" for item in items))
    return path


def _read_lines(path: Path) -> list[dict[str, Any]]:
    # Only "\n" ends a line here: str.splitlines would also split at U+2028, which JSON leaves unescaped.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, with lists of numbers (row numbers, a row of a confusion matrix) on one line."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False)
    write_text(path, _NUMBER_LIST.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n")


@contextlib.contextmanager
def writing(place: str) -> Iterator[None]:
    """What the file system refuses in here becomes an `SftError`. place: what was to be written, by option or path."""
    try:
        yield
    except OSError as error:
        raise SftError(f"{place}: can't be written: {error.strerror or error}", "name another place") from error


def write_text(path: Path, text: str) -> None:
    """UTF-8, with the text's own line breaks; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write by a temporary name in the same folder, then rename: never a half-written file under the real name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity: they become null, so that every JSON reader can read a record."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value

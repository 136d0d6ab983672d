"""Folders of runs arrive whole, or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sft.experiments import parcels
from sft.experiments.parcels import pack, unpack
from sft.records import RECORD_FILE


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def files(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in found}


def test_what_is_named_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "_CHUNK", 100)
    source = write(tmp_path / "source", run__record_json="r", run__adapter__weights="w", logs__a="l", other__b="b")
    pieces = list(pack(source, ["run", "logs/a"]))
    assert len(pieces) > 1
    unpack(io.BytesIO(b"".join(pieces)), tmp_path / "target")
    assert files(tmp_path / "target") == {"run/record.json": "r", "run/adapter/weights": "w", "logs/a": "l"}


def test_the_record_goes_first_and_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "source", run__record_json="new", run__zzz="new", run__items="new")
    target = write(tmp_path / "target", run__record_json="old", run__items="old", run__kept="kept")
    seen = []
    replace = Path.replace

    def watched(self: Path, to: Path) -> Path:
        seen.append((to.name, (target / "run" / RECORD_FILE).exists()))
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", watched)
    unpack(io.BytesIO(b"".join(pack(source, ["run"]))), target)
    assert seen == [("items", False), ("zzz", False), ("record.json", False)]
    assert files(target) == {"run/items": "new", "run/kept": "kept", "run/record.json": "new", "run/zzz": "new"}

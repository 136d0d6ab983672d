"""Local paths and hub ids are told apart, and a mistyped path is never asked of the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft.errors import SftError
from sft.locations import local_path

HUB_IDS = ["gpt2", "Qwen/Qwen2.5-0.5B-Instruct", "org/name_with.dots-1", "data", "nobody/data"]
MISSING = [
    "./nowhere",
    "../nowhere",
    "/nowhere/at/all",
    "~/surely/not/here",
    "here/nowhere",
    "a/b/c",
    "train.jsonl",
    "org/train.csv",
    "template.jinja",
    "name with spaces",
    "back\\slash",
    "",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that holds here/inside.txt."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "inside.txt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["here", "./here", "here/inside.txt", "here/../here", "."])
def test_what_exists_is_local(name: str) -> None:
    found = local_path(name, "key")
    assert found is not None
    assert found.exists()


@pytest.mark.parametrize("name", HUB_IDS)
def test_what_could_be_a_hub_id_and_is_not_here_is_one(name: str) -> None:
    assert local_path(name, "key") is None


@pytest.mark.parametrize("name", [name for name in MISSING if name])
def test_what_looks_like_a_path_and_is_not_here_is_an_error(name: str, folder: Path) -> None:
    with pytest.raises(SftError) as caught:
        local_path(name, "model.name")
    assert f"model.name: no file or folder {name!r} (working directory: {folder})" in str(caught.value)


def test_the_error_tells_what_is_there() -> None:
    with pytest.raises(SftError, match=r"mend the path; here/ holds: inside\.txt"):
        local_path("here/outside.txt", "key")


def test_a_home_directory_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert local_path("~/here", "key") == folder / "here"

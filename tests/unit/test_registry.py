"""Registries of named choices, and the answer to an unknown name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sft.errors import SftError
from sft.registry import Registry, import_submodules, unknown_name_fix


@pytest.fixture
def shapes() -> Registry[Callable[[], str]]:
    registry: Registry[Callable[[], str]] = Registry("shape")

    @registry.register("square")
    def square() -> str:
        return "four sides"

    registry["circle"] = lambda: "round"
    return registry


def test_entries_are_added_by_decorator_and_by_assignment_and_stay_as_they_are(
    shapes: Registry[Callable[[], str]],
) -> None:
    assert shapes["square"]() == "four sides"
    assert shapes["circle"]() == "round"
    assert shapes["square"].__name__ == "square"


def test_a_registry_is_a_mapping_in_the_order_of_names(shapes: Registry[Callable[[], str]]) -> None:
    assert list(shapes) == ["circle", "square"]
    assert len(shapes) == 2
    assert "square" in shapes
    assert "triangle" not in shapes
    assert dict(shapes).keys() == {"circle", "square"}


def test_an_unknown_name_is_answered_with_the_one_that_was_meant(shapes: Registry[Callable[[], str]]) -> None:
    with pytest.raises(SftError, match=r"unknown shape 'sqare'\n  fix: did you mean 'square'\?"):
        shapes["sqare"]
    with pytest.raises(SftError, match="unknown shape 'x'\n  fix: known: circle, square"):
        shapes["x"]


def test_a_name_cannot_be_taken_twice_but_the_same_entry_may_be_added_again(
    shapes: Registry[Callable[[], str]],
) -> None:
    shapes["square"] = shapes["square"]
    with pytest.raises(SftError, match="there is already a shape named 'square'"):
        shapes["square"] = lambda: "another"
    del shapes["square"]
    shapes["square"] = lambda: "another"
    assert shapes["square"]() == "another"


MANY = [f"name_{i}" for i in range(100)]

# (what was written, known names, the answer)
ANSWERS: list[tuple[str, list[str], str]] = [
    ("learning_rat", ["lr", "learning_rate"], "did you mean 'learning_rate'?"),
    ("zzz", ["b", "a"], "known: a, b"),
    ("zzz", [], "none is known"),
    ("name_5x", MANY, "did you mean 'name_5'?"),
]


@pytest.mark.parametrize(("name", "known", "answer"), ANSWERS)
def test_the_answer_to_an_unknown_name(name: str, known: list[str], answer: str) -> None:
    assert unknown_name_fix(name, known) == answer


def test_very_many_known_names_are_answered_with_the_likest() -> None:
    answer = unknown_name_fix("qqq", MANY)
    assert answer.startswith("100 are known, among them ")
    assert len(re.findall(r"name_\d+", answer)) == 10


def test_a_new_file_is_imported_by_being_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "fresh_package"
    package.mkdir()
    (package / "__init__.py").write_text("found = []\n")
    (package / "one.py").write_text("import fresh_package\nfresh_package.found.append('one')\n")
    monkeypatch.syspath_prepend(tmp_path)
    import_submodules("fresh_package", [str(package)])
    assert sys.modules["fresh_package"].found == ["one"]
    del sys.modules["fresh_package"], sys.modules["fresh_package.one"]

"""What is drawn or written from data is as the data is now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docs.pictures.draw import FACTS, FOLDER, drawn
from docs.tools.benchmarks import BENCHMARKS, RESULTS, page
from tests.conftest import REPOSITORY


def test_the_benchmark_page_is_that_of_the_stored_results() -> None:
    assert (REPOSITORY / "docs/benchmarks.md").read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_stored_result_is_on_the_benchmark_page() -> None:
    shown = [stem for benchmark in BENCHMARKS for stem in benchmark.files]
    assert sorted(shown) == sorted(path.stem for path in RESULTS.glob("*.json"))


def test_the_pictures_are_those_of_their_facts() -> None:
    for name, text in drawn().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: run `make docs`"


def test_the_facts_are_what_the_quickstarts_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from docs.pictures.facts import all_facts

    monkeypatch.chdir(REPOSITORY)
    stored, now = json.loads(FACTS.read_text(encoding="utf-8")), json.loads(json.dumps(all_facts()))
    assert _texts(now) == _texts(stored), "run `python -m docs.pictures.draw --facts`"
    assert _numbers(now) == pytest.approx(_numbers(stored), abs=0.02)


def _texts(value: Any) -> Any:
    """The value without its numbers."""
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return None if isinstance(value, float) else value


def _numbers(value: Any) -> list[float]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    inside = [number for item in items for number in _numbers(item)]
    return [*([value] if isinstance(value, float) else []), *inside]

"""A page says what it was made of, so that it is known whether it would be the same again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sft.api import write_report
from sft.planned import Planned, write_plan
from sft.records import ITEMS_FILE, RECORD_FILE
from tests.fakes import config_value
from tests.unit.reporting.scored_runs import write_scored


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new run": lambda results: write_scored(results, ["x", "y"], [0.1, 0.9], seed=99),
    "a removed run": lambda results: shutil.rmtree(sorted(results.glob("*/"))[0]),
    "a changed record": lambda results: _append(sorted(results.glob(f"*/{RECORD_FILE}"))[0], " "),
    "other items": lambda results: _append(sorted(results.glob(f"*/{ITEMS_FILE}"))[0], "\n"),
    "a plan": lambda results: write_plan(results, [Planned("later", "0" * 12, config_value())]),
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in (13, 14):
        write_scored(tmp_path / "results", ["x", "y"], [0.5, 0.9], seed=seed)
    return tmp_path / "results"


def test_a_page_of_the_same_records_is_left_as_it_is(results: Path) -> None:
    page = write_report([results], results / "report.html")
    page.write_text(page.read_text(encoding="utf-8") + "<!-- left -->", encoding="utf-8")
    write_report([results], page, only_new=True)
    assert page.read_text(encoding="utf-8").endswith("<!-- left -->")
    write_report([results], page)
    assert not page.read_text(encoding="utf-8").endswith("<!-- left -->")


@pytest.mark.parametrize("change", CHANGES)
def test_a_page_is_made_again_after_a_change(change: str, results: Path) -> None:
    page = write_report([results], results / "report.html")
    page.write_text(page.read_text(encoding="utf-8") + "<!-- left -->", encoding="utf-8")
    CHANGES[change](results)
    write_report([results], page, only_new=True)
    assert not page.read_text(encoding="utf-8").endswith("<!-- left -->")

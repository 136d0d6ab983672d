from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import sft
from sft.api import table_of
from sft.errors import SftError
from sft.planned import Planned, write_plan
from sft.records import read_items, read_record, write_items, write_record
from sft.reporting.find import find_results
from sft.reporting.html import details
from sft.reporting.html.assets import assets
from sft.reporting.html.islands import island
from sft.reporting.html.page import MOST_BYTES, report_page
from sft.reporting.html.run_sections import run_section_registry
from tests.unit.reporting import scored_runs
from tests.unit.reporting.records_by_hand import failed, shots
from tests.unit.reporting.runs_on_disk import write_texts
from tests.unit.reporting.scored_runs import (
    ARABIC,
    MARKUP,
    write_multilabel,
    write_multiple_choice,
    write_scored,
    write_structured,
    write_sweep,
)

_ISLAND = re.compile(r'<script type="application/json"[^>]*>(.*?)</script>', re.DOTALL)


class _Elements(HTMLParser):
    """What a browser would make of a page: how many elements of each name there are, and the texts."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names[tag] += 1

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _page(results: Path, **more: Any) -> str:
    found = find_results([results])
    return report_page(found, table_of(found), **more)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("sweep")
    write_sweep(results)
    return results


def test_an_island_keeps_the_value_and_cannot_be_left() -> None:
    value = {"text": f"{MARKUP}<!--", "number": 0.5}
    text = str(island(value))
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_data_is_only_ever_text(sweep: Path) -> None:
    page = _page(sweep)
    elements = _Elements()
    elements.feed(page)
    assert elements.names["img"] == 0
    assert elements.names["script"] == len(_ISLAND.findall(page)) + 2
    assert {MARKUP, ARABIC} <= set(elements.texts)


def test_labels_columns_settings_names_and_errors_are_only_ever_text_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(f"{MARKUP}{i}" for i in range(3))
    monkeypatch.setattr(scored_runs, "NAMES", names)
    for number in (2, 8):
        config = {**shots(number), "prompting": {"instruction": f"{MARKUP}{number}"}, "model": {"name": MARKUP}}
        folder = write_scored(tmp_path, ["x", "y", "z"], [0.5] * 3, [0], name=MARKUP, config=config, warnings=[MARKUP])
        record = read_record(folder)
        items = [{**item, "inputs": {MARKUP: "x", "items": "y"}, "problem": MARKUP} for item in read_items(folder)]
        write_items(folder, items)
        more: dict[str, Any] = {"results": {**record.results, MARKUP: 0.5}, "timings": {MARKUP: 3.0, "total": 4.0}}
        write_record(replace(record, **more, model={"base": MARKUP}, baselines={MARKUP: {"accuracy": 0.5}}), folder)
    broken = failed(MARKUP, seed=15, name=MARKUP, **shots(4))
    write_record(broken, tmp_path / broken.folder_name)
    page = _page(tmp_path)
    elements = _Elements()
    elements.feed(page)
    assert elements.names["img"] == 0
    assert elements.names["script"] == len(_ISLAND.findall(page)) + 2
    assert {MARKUP, *names} <= set(elements.texts)


def test_the_policy_allows_the_scripts_of_the_page_and_no_other() -> None:
    policy = assets().policy
    assert "default-src 'none'" in policy
    assert len(re.findall(r"'sha256-[^']+'", policy)) == 2
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


def test_the_same_results_give_the_same_bytes(sweep: Path, tmp_path: Path) -> None:
    files = [sft.write_report([sweep], tmp_path / name) for name in ("a.html", "b.html")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert str(sweep) not in files[0].read_text(encoding="utf-8")


def test_every_chart_is_one_that_vega_lite_accepts(sweep: Path) -> None:
    import vl_convert

    specs = [json.loads(text) for text in _ISLAND.findall(_page(sweep))[:-1]]
    assert len(specs) == 3 + 5 * 2 + 4  # of all runs; reliability and risk of each; training of the trained ones
    for spec in (*specs[:3], *specs[-3:]):
        vl_convert.vegalite_to_vega(spec)


@pytest.mark.parametrize(
    ("write", "shown", "missing"),
    [
        (write_multilabel, ["Per class", "<bdi>a</bdi> 0.500"], ["confusion matrix", "reliability"]),
        (write_multiple_choice, ["Reliability", "Risk and coverage", "three"], ["confusion matrix", "per class"]),
        (write_structured, ["no JSON", "not JSON at character 0"], ["reliability", "risk and coverage"]),
        (lambda results: write_texts(results, ["x", "y"], ["x", "z"]), ["text 1"], ["reliability", "confusion matrix"]),
    ],
    ids=["multilabel", "multiple choice", "structured", "generation"],
)
def test_other_tasks_show_what_they_have(
    write: Callable[[Path], Path], shown: list[str], missing: list[str], tmp_path: Path
) -> None:
    write(tmp_path)
    page = _page(tmp_path)
    excuse = page.split("Not shown for this run:")[1].split("</p>")[0]
    for text in shown:
        assert text in page
    for title in missing:
        assert title in excuse
    assert "Shown: all 1 errors, all 1 others." in page


def test_every_section_of_a_run_has_a_template(repository: Path) -> None:
    folder = repository / "sft/reporting/html/templates/sections"
    assert run_section_registry
    assert {path.stem for path in folder.iterdir()} == set(run_section_registry)


def test_a_run_without_readable_items_is_shown_without_them(tmp_path: Path) -> None:
    folder = write_scored(tmp_path, ["x", "y"], [0.5, 0.9])
    (folder / "items.jsonl").unlink()
    page = _page(tmp_path)
    assert "risk and coverage (its items can&#39;t be read)" in page
    assert 'class="items"' not in page


def test_failed_runs_are_shown_with_their_errors(tmp_path: Path) -> None:
    write_scored(tmp_path, ["x", "y"], [0.5, 0.9])
    record = failed(f"out of memory\nTraceback <b>{MARKUP}", seed=14, name="too large", **shots(4))
    write_record(record, tmp_path / record.folder_name)
    page = _page(tmp_path)
    assert "<strong>too large</strong>: out of memory" in page
    assert "Traceback &lt;b&gt;" in page


def test_configs_without_a_record_are_not_said_to_be_alike(tmp_path: Path) -> None:
    scored = write_scored(tmp_path, ["x", "y"], [0.5, 0.9])
    assert "1 configuration, 1 run." in _page(tmp_path)
    assert "differ in their seeds at most" in _page(tmp_path)
    config = read_record(scored).config
    other = {**config, "dataset": {**config["dataset"], "shots": 64}}
    write_plan(tmp_path, [Planned("many", "many", other)])
    page = _page(tmp_path)
    assert "2 configurations, 1 run." in page
    assert "differ in their seeds at most" not in page
    assert "1 of 2 configurations with a record: nothing to compare yet." in page


def test_only_failed_runs_make_a_page_too(tmp_path: Path) -> None:
    record = failed("no such model")
    write_record(record, tmp_path / record.folder_name)
    page = _page(tmp_path)
    assert "no such model" in page
    assert 'id="details"' not in page


def test_prompts_show_special_tokens_the_loss_and_gaps(tmp_path: Path) -> None:
    folder = write_scored(tmp_path, ["x", "y"], [0.5, 0.9])
    record = read_record(folder)
    pieces = [
        {"text": "<|im_start|>", "special": True, "in_loss": False},
        {"left_out": 3},
        {"text": "yes", "special": False, "in_loss": True},
    ]
    training = {**(record.training or {}), "example": {"tokens": 9, "pieces": pieces}}
    write_record(replace(record, training=training), folder)
    page = _page(tmp_path)
    assert '<mark class="special">&lt;|im_start|&gt;</mark>' in page
    assert "[… 3 tokens left out …]" in page
    assert '<mark class=" loss">yes</mark>' in page


def test_a_small_page_leaves_out_rows_and_says_so(sweep: Path) -> None:
    whole = _page(sweep)
    assert whole.count("data-c=") == 5 * 12
    limit = len(whole.encode()) - 6_000
    page = _page(sweep, most_bytes=limit)
    assert len(page.encode()) <= limit
    assert 0 < page.count("data-c=") < 5 * 12
    said = re.findall(r"Shown: (?:(all|\d+) (?:of )?(\d+) errors.*?), (?:(all|\d+) (?:of )?(\d+) others)", page)
    shown = sum(int(of if count == "all" else count) for a, b, c, d in said for count, of in ((a, b), (c, d)))
    assert shown == page.count("data-c=")


def test_a_smaller_page_leaves_out_runs_and_says_so(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "MOST_RUNS", 3)
    page = _page(sweep)
    assert "Details of 3 of 5 finished runs" in page
    chosen = re.findall(r'<option value="run-\d+">(#\d)', page)
    assert chosen == ["#1", "#2", "#3"]


def test_thousands_of_long_rows_stay_below_the_limit(tmp_path: Path) -> None:
    texts = [f"{i} {'ص' * 1400}" for i in range(4000)]
    write_scored(tmp_path, texts, [0.5] * len(texts), wrong=range(3500))
    page = _page(tmp_path)
    assert 0.9 * MOST_BYTES < len(page.encode()) <= MOST_BYTES
    assert "0 of 500 others" in page


def test_a_path_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SftError, match=r"no record\.json"):
        sft.write_report([tmp_path], tmp_path / "report.html")


def test_what_surrounds_the_runs_counts_too(tmp_path: Path) -> None:
    texts = [f"{i} {'x' * 400}" for i in range(30)]
    for seed in range(16):
        write_scored(tmp_path, texts, [0.5] * len(texts), seed=seed)
    limit = len(_page(tmp_path).encode()) - 20_000
    page = _page(tmp_path, most_bytes=limit)
    assert limit - 2_000 < len(page.encode()) <= limit
    assert len(re.findall(r'<option value="run-', page)) == 16


def test_a_renamed_folder_is_shown_with_its_rows_and_intervals(tmp_path: Path) -> None:
    folder = write_scored(tmp_path / "results", ["x", "y", "z"], [0.5, 0.6, 0.7], wrong=[0])
    before = table_of(find_results([folder])).configurations[0].metrics["accuracy"]
    renamed = folder.rename(tmp_path / "the best one")
    after = table_of(find_results([renamed])).configurations[0].metrics["accuracy"]
    assert after == before
    assert after.low is not None
    assert _page(renamed).count("data-c=") == 3


def test_of_copies_of_a_run_the_page_shows_the_one_that_the_table_counts(tmp_path: Path) -> None:
    late = write_scored(tmp_path / "a", ["late text", "y"], [0.5, 0.9])
    write_record(replace(read_record(late), finished_at="2026-01-02"), late)
    write_scored(tmp_path / "b", ["early text", "y"], [0.5, 0.9], wrong=[0])
    found = find_results([tmp_path / "a", tmp_path / "b"])
    table = table_of(found)
    page = report_page(found, table)
    assert table.configurations[0].metrics["accuracy"].mean == 1.0
    assert "late text" in page
    assert "early text" not in page
    assert len(re.findall(r'<option value="run-', page)) == 1

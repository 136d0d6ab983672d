from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sft.api import table_of
from sft.reporting.find import find_results
from sft.reporting.html.page import report_page
from tests.unit.reporting.scored_runs import ARABIC, MARKUP, write_sweep


class Opened(NamedTuple):
    """messages: of the console. requests: addresses that the page asked for."""

    page: Any
    messages: list[str]
    requests: list[str]


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_sweep(folder / "results")
    found = find_results([folder / "results"])
    file = folder / "report.html"
    file.write_text(report_page(found, table_of(found)), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def shared_page(browser: Any, report: Path) -> Iterator[Opened]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        messages: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        page.wait_for_selector("#curves svg")
        yield Opened(page, messages, requests)


@pytest.fixture
def opened(shared_page: Opened) -> Opened:
    """The page as it is when it is opened, without loading it again."""
    shared_page.page.reload()
    shared_page.page.wait_for_selector("#details article:not([hidden]) svg")
    return shared_page


def test_it_asks_the_network_for_nothing_and_complains_of_nothing(opened: Opened, report: Path) -> None:
    assert opened.page.locator(".plot svg:visible").count() >= 5
    assert opened.messages == []
    assert set(opened.requests) == {report.as_uri()}


def test_no_script_but_its_own_runs(opened: Opened) -> None:
    opened.page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.foreign = 1'; document.body.append(s)"
    )
    refused = [message for message in opened.messages if "Content Security Policy" in message]
    opened.messages.clear()
    assert refused
    assert opened.page.evaluate("window.foreign") is None


def test_heads_sort_by_number_and_say_so(opened: Opened) -> None:
    table = opened.page.locator("#leaderboard table").first
    names = table.locator("thead th").all_inner_texts()
    place = next(i for i, name in enumerate(names) if name.startswith("accuracy"))
    head = table.locator("thead th").nth(place)

    def values() -> list[float]:
        return [
            float(text.split()[0]) for text in table.locator(f"tbody tr td:nth-child({place + 1})").all_inner_texts()
        ]

    head.locator("button").focus()
    opened.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    assert len(set(values())) > 1


def test_what_is_missing_is_sorted_last_either_way(opened: Opened) -> None:
    table = opened.page.locator("#leaderboard table").first
    button = table.get_by_role("button", name="adapter")
    for _ in range(2):
        button.click()
        place = table.locator("thead th").all_inner_texts().index(next(iter(button.locator("..").all_inner_texts())))
        assert table.locator(f"tbody tr td:nth-child({place + 1})").all_inner_texts()[-1] == "–"


def test_the_leaderboard_is_filtered_by_text(opened: Opened) -> None:
    rows = opened.page.locator("#leaderboard tbody").first.locator("tr:visible")
    assert rows.count() == 3
    opened.page.locator("#leaderboard input").first.fill("LORA")
    assert rows.count() == 2


def test_items_are_filtered_by_error_class_and_text(opened: Opened) -> None:
    opened.page.select_option("#choose-run", label="#3 · 8 13 · seed 13")
    items = opened.page.locator("article.run:visible .items")
    rows = items.locator("tbody tr:visible")
    assert rows.count() == 12
    items.locator(".which").select_option("wrong")
    assert rows.count() == 2
    items.locator(".class").select_option(label="c")
    assert rows.count() == 1
    items.locator(".which").select_option("")
    assert rows.count() == 5
    items.locator(".text").fill("text 0")
    assert rows.count() == 1
    assert "1 of 12" in items.locator("output").inner_text()


def test_another_run_shows_its_own_charts(opened: Opened) -> None:
    opened.page.select_option("#choose-run", label="#2 · 2 14 · seed 14")
    shown = opened.page.locator("article.run:visible")
    shown.locator("figure svg").nth(2).wait_for()
    assert shown.count() == 1
    assert shown.locator("h3").inner_text() == "2 14"


def test_hovering_shows_what_a_point_is(opened: Opened) -> None:
    opened.page.locator("#curves path[aria-label*='curve: lora; shots: 8']").hover(timeout=5000)
    tooltip = opened.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "lora" in tooltip.inner_text()


def test_the_matrix_shows_counts_or_rates(opened: Opened) -> None:
    shown = opened.page.locator("article.run:visible")
    cell = shown.locator(".matrix tbody tr").first.locator("td").first
    assert re.fullmatch(r"\d+", cell.inner_text())
    shown.get_by_role("button", name="rates").click()
    assert re.fullmatch(r"\d+\.\d %", cell.inner_text())
    assert shown.get_by_role("button", name="rates").get_attribute("aria-pressed") == "true"


def test_markup_in_the_data_is_text(opened: Opened) -> None:
    texts = opened.page.locator("article.run:visible .items tbody p").all_text_contents()
    assert MARKUP in texts
    assert opened.page.evaluate("window.broken") is None
    assert opened.page.locator("img").count() == 0


def test_arabic_runs_from_right_to_left(opened: Opened) -> None:
    text = opened.page.locator("article.run:visible .items td:nth-child(2) p", has_text=ARABIC)
    assert text.evaluate("element => getComputedStyle(element).direction") == "rtl"
    other = opened.page.locator("article.run:visible .items td:nth-child(2) p", has_text="text 3")
    assert other.evaluate("element => getComputedStyle(element).direction") == "ltr"


def test_a_phone_scrolls_tables_and_never_the_page(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": 360, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 360
    opened.page.wait_for_function("() => document.querySelector('#curves svg').clientWidth < 360", timeout=5000)
    box = opened.page.locator("#leaderboard .box").first
    assert box.evaluate("element => element.scrollWidth > element.clientWidth")
    opened.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(opened: Opened, scheme: str) -> None:
    opened.page.emulate_media(color_scheme=scheme)
    names = ("text", "quiet", "wrong", "right", "link")
    read = "names => names.map(n => getComputedStyle(document.documentElement).getPropertyValue('--' + n).trim())"
    page, raised, *colours = opened.page.evaluate(read, ["page", "raised", *names])
    for name, colour in zip(names, colours, strict=True):
        assert min(_contrast(colour, page), _contrast(colour, raised)) >= 4.5, name
    chart_text = opened.page.locator("#seeds svg text").first
    assert chart_text.evaluate("element => getComputedStyle(element).fill") == _as_rgb(colours[0])


def _channels(colour: str) -> list[int]:
    digits = colour.removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    return [int(digits[i : i + 2], 16) for i in (0, 2, 4)]


def _as_rgb(colour: str) -> str:
    return f"rgb({', '.join(map(str, _channels(colour)))})"


def _contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [value / 255 for value in _channels(colour)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

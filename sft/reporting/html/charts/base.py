"""What charts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SERIES_COLOURS = tuple(f"var(--series-{number})" for number in range(1, 7))
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
GREY = "var(--quiet)"
# Pixels for the names of configurations: less on a phone.
LABEL_WIDTH = {"expr": "containerSize()[0] > 700 ? 320 : 120"}
_DASHES = ([6, 4], [2, 3], [10, 3, 2, 3])

CONFIG: Mapping[str, Any] = {
    "font": "system-ui, sans-serif",
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--text)",
        "titleColor": "var(--text)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "gridColor": "var(--faint)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelOverlap": "greedy",
    },
    "legend": {
        "labelColor": "var(--text)",
        "titleColor": "var(--text)",
        "labelFontSize": 12,
        "labelLimit": 420,
        "symbolSize": 90,
        "symbolOpacity": 1,
    },
    "title": {"color": "var(--text)", "fontWeight": "normal", "fontSize": 12},
    "header": {"labelColor": "var(--text)", "titleColor": "var(--text)"},
}


class Chart(NamedTuple):
    """title: of the figure. about: how it is to be read, which screen readers say too."""

    title: str
    about: str
    spec: Mapping[str, Any]


def specification(rows: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """As wide as the page, over rows of data."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": list(rows)},
        **more,
    }


def tips(**titles: str) -> list[dict[str, Any]]:
    """A tooltip: field → what it is called there. Numbers are shown as they are; round them before."""
    return [{"field": field, "title": title} for field, title in titles.items()]


def choice(name: str, options: Sequence[str], label: str) -> dict[str, Any]:
    """A menu above the chart, whose value is the parameter `name`; none for a single option."""
    parameter: dict[str, Any] = {"name": name, "value": options[0]}
    if len(options) > 1:
        parameter["bind"] = {"input": "select", "options": list(options), "name": f"{label} "}
    return parameter


def named_by(parameter: str) -> dict[str, Any]:
    """A title that says what was chosen, for print, which has no menu."""
    return {"text": {"expr": parameter}, "anchor": "start"}


def coloured(titles: Sequence[str], grey: Sequence[str] = ()) -> dict[str, Any]:
    """A scale for `color`: the palette over titles, grey for the others."""
    colours = [SERIES_COLOURS[number % len(SERIES_COLOURS)] for number in range(len(titles))]
    return {"domain": [*titles, *grey], "range": [*colours, *[GREY] * len(grey)]}


def dashed(titles: Sequence[str], grey: Sequence[str] = ()) -> dict[str, Any]:
    """A scale for `strokeDash`: whole lines for titles, and a pattern for each of the others."""
    patterns = [_DASHES[number % len(_DASHES)] for number in range(len(grey))]
    return {"domain": [*titles, *grey], "range": [*[[1, 0]] * len(titles), *patterns]}


def shaped(titles: Sequence[str], grey: Sequence[str] = ()) -> dict[str, Any]:
    """A scale for `shape`, which tells apart what has the same colour to some eyes."""
    shapes = [SHAPES[(number + number // len(SHAPES)) % len(SHAPES)] for number in range(len(titles))]
    return {"domain": [*titles, *grey], "range": [*shapes, *["circle"] * len(grey)]}


def rounded(value: float | None) -> float | None:
    """Four significant digits: more aren't read, and cost bytes."""
    return None if value is None else float(f"{value:.4g}")

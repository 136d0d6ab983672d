"""Whether a run is right as often as it is sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sft.reporting.columns import number
from sft.reporting.html.charts.base import SERIES_COLOURS, Chart, rounded, specification, tips


def reliability_diagram(bins: Sequence[Mapping[str, Any]], ece: float | None) -> Chart:
    """bins: the result `reliability`, one entry per bin of confidence."""
    rows = [
        {
            "lower": rounded(one["lower"]),
            "upper": rounded(one["upper"]),
            "rows": one["count"],
            "confidence": rounded(one["confidence"]),
            "accuracy": rounded(one["accuracy"]),
        }
        for one in bins
        if one["count"]
    ]
    about = (
        "Bars: accuracy of the answers whose probability is in a bin, paler where they are few; a tick: their mean "
        "probability. On the diagonal a model is right as often as it is sure. "
        f"Expected calibration error: {number(ece)}."
    )
    return Chart("Reliability", about, _spec(rows))


_PALER = {"type": "sqrt", "domainMin": 0, "range": [0.15, 1]}


def _spec(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    whole = {"domain": [0, 1], "nice": False}
    x = {"type": "quantitative", "title": "probability of the answer", "scale": whole}
    y = {"type": "quantitative", "title": "accuracy", "scale": whole}
    tip = tips(lower="from", upper="to", rows="rows", confidence="mean probability", accuracy="accuracy")
    return specification(
        rows,
        height=260,
        layer=[
            {
                "mark": {"type": "bar", "color": SERIES_COLOURS[0], "stroke": "var(--page)"},
                "encoding": {
                    "x": {**x, "field": "lower", "bin": "binned"},
                    "x2": {"field": "upper"},
                    "y": {**y, "field": "accuracy"},
                    "opacity": {"field": "rows", "type": "quantitative", "scale": _PALER, "legend": None},
                    "tooltip": tip,
                },
            },
            {
                "data": {"values": [{"at": 0}, {"at": 1}]},
                "mark": {"type": "line", "color": "var(--text)", "strokeDash": [5, 4], "strokeWidth": 1},
                "encoding": {"x": {**x, "field": "at"}, "y": {**y, "field": "at"}},
            },
            {
                "mark": {
                    "type": "tick",
                    "thickness": 3,
                    "size": 14,
                    "orient": "horizontal",
                    "color": SERIES_COLOURS[1],
                },
                "encoding": {
                    "x": {**x, "field": "confidence"},
                    "y": {**y, "field": "confidence"},
                    "tooltip": tip,
                },
            },
        ],
    )

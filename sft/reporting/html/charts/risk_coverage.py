"""How many errors are left where only the surest answers are given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.reporting.html.charts.base import SERIES_COLOURS, Chart, rounded, specification, tips

_POINTS = 100


def risk_coverage(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[tuple[float, float, float]]:
    """Coverage, risk and the lowest confidence at each distinct confidence, from the surest answers to all of them.

    confidence, right: [N]. Coverage is the share of rows that are answered, risk the share of errors among them
    (El-Yaniv and Wiener 2010). Rows that are as sure as each other are answered together.
    """
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    last = np.flatnonzero(np.append(sure[1:] != sure[:-1], True))
    answered = last + 1
    errors = np.cumsum(~right[order])[last]
    points = zip(answered / len(sure), errors / answered, sure[last], strict=True)
    return [(float(coverage), float(risk), float(lowest)) for coverage, risk, lowest in points]


def risk_coverage_curve(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Chart:
    points = risk_coverage(confidence, right)
    kept = sorted({*np.linspace(0, len(points) - 1, min(_POINTS, len(points))).round().astype(int).tolist()})
    rows = [
        {"coverage": rounded(coverage), "risk": rounded(risk), "lowest": rounded(lowest)}
        for coverage, risk, lowest in (points[i] for i in kept)
    ]
    about = "The share of errors among the answers that are given, if only the surest are; low on the left is good."
    return Chart("Risk and coverage", about, _spec(rows))


def _spec(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return specification(
        rows,
        height=260,
        mark={"type": "line", "point": {"size": 25}, "color": SERIES_COLOURS[0]},
        encoding={
            "x": {"field": "coverage", "type": "quantitative", "title": "share answered", "scale": {"domain": [0, 1]}},
            "y": {"field": "risk", "type": "quantitative", "title": "share of errors among them"},
            "tooltip": tips(coverage="share answered", risk="share of errors", lowest="lowest probability"),
        },
    )

"""The trainer's numbers by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sft.reporting.html.charts.base import SERIES_COLOURS, Chart, choice, named_by, rounded, specification, tips

_POINTS = 200
# Positions, and what grows with them.
_NOT_SHOWN = frozenset({"step", "epoch", "num_tokens", "total_flos"})


def training_curves(log: Sequence[Mapping[str, Any]]) -> Chart | None:
    """log: the trainer's entries. None where fewer than two steps of anything are in it."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for entry in log:
        for name, value in entry.items():
            if name not in _NOT_SHOWN and "step" in entry and value is not None:
                curves.setdefault(name, []).append((entry["step"], value))
    curves = {name: points for name, points in curves.items() if len(points) > 1}
    if not curves:
        return None
    names = sorted(curves, key=lambda name: ("loss" not in name, name != "loss"))
    rows = [
        {"what": name, "step": step, "value": rounded(value)} for name in names for step, value in _fewer(curves[name])
    ]
    about = "As the trainer logged it."
    longest = max(map(len, curves.values()))
    if longest > _POINTS:
        about += f" At most {_POINTS} of {longest} entries."
    return Chart("Training", about, _spec(rows, names))


def _fewer(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_POINTS`, evenly, the first and the last among them."""
    if len(points) <= _POINTS:
        return list(points)
    return [points[round(i * (len(points) - 1) / (_POINTS - 1))] for i in range(_POINTS)]


def _spec(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    return specification(
        rows,
        height=260,
        title=named_by("what"),
        params=[choice("what", names, "Show")],
        transform=[{"filter": "datum.what === what"}],
        mark={"type": "line", "point": {"size": 25}, "color": SERIES_COLOURS[0]},
        encoding={
            "x": {"field": "step", "type": "quantitative", "title": "step", "axis": {"format": "d"}},
            "y": {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}},
            "tooltip": tips(what="what", step="step", value="value"),
        },
    )

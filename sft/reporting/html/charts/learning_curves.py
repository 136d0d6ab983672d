"""A metric over the number of shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sft.reporting.columns import headline_metrics
from sft.reporting.curve_points import Series
from sft.reporting.html.charts.base import (
    Chart,
    choice,
    coloured,
    dashed,
    named_by,
    rounded,
    shaped,
    specification,
    tips,
)
from sft.reporting.html.shot_series import shot_series
from sft.reporting.rows import ReportTable


def learning_curves(table: ReportTable) -> Chart | None:
    """None where nothing was tried with two numbers of shots."""
    by_metric = {metric: shot_series(table, metric) for metric in headline_metrics(table)}
    by_metric = {metric: series for metric, series in by_metric.items() if series}
    if not by_metric:
        return None
    rows = []
    for metric, series in by_metric.items():
        # What comes first is drawn beneath.
        for one in sorted(series, key=lambda one: not one.baseline):
            rows += _rows(metric, one)
    known = [one for series in by_metric.values() for one in series]
    methods = list(dict.fromkeys(one.title for one in known if not one.baseline))
    baselines = list(dict.fromkeys(one.title for one in known if one.baseline))
    about = (
        "Mean over seeds, with the leaderboard's 95 % intervals as bands; dashed grey: baselines on the same shots. "
        "Click a name in the legend to see it alone."
    )
    return Chart("Learning curves", about, _spec(rows, list(by_metric), methods, baselines))


def _rows(metric: str, series: Series) -> list[dict[str, Any]]:
    return [
        {
            "metric": metric,
            "title": series.title,
            "shots": point.shots,
            "mean": rounded(point.mean),
            "low": rounded(point.low),
            "high": rounded(point.high),
            "runs": point.runs,
        }
        for point in series.points
    ]


def _spec(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], methods: Sequence[str], baselines: Sequence[str]
) -> dict[str, Any]:
    shots = sorted({row["shots"] for row in rows})
    start = min((count for count in shots if count > 0), default=1)
    x = {
        "field": "shots",
        "type": "quantitative",
        "title": "shots (per label, where there are labels)",
        "scale": {"type": "symlog", "constant": start, "nice": False},
        "axis": {"values": shots, "grid": False, "format": "d"},
    }
    y = {"field": "mean", "type": "quantitative", "title": None, "scale": {"zero": False}}
    legend = {"orient": "bottom", "columns": 1, "title": None}
    colour = {
        "field": "title",
        "type": "nominal",
        "scale": coloured(methods, baselines),
        "legend": legend,
    }
    opacity = {"condition": {"param": "picked", "value": 1}, "value": 0.12}
    tip = tips(title="curve", shots="shots", metric="metric", mean="mean", low="from", high="to", runs="runs")
    dash = {"field": "title", "type": "nominal", "scale": dashed(methods, baselines), "legend": legend}
    band = {"condition": {"param": "picked", "value": 0.18}, "value": 0.03}
    line = {"x": x, "y": y, "color": colour, "opacity": opacity}
    shape = {"field": "title", "type": "nominal", "scale": shaped(methods, baselines), "legend": legend}
    return specification(
        rows,
        height=320,
        title=named_by("metric"),
        params=[choice("metric", metrics, "Metric")],
        transform=[{"filter": "datum.metric === metric"}],
        layer=[
            {
                "mark": {"type": "area"},
                "transform": [{"filter": "isValid(datum.low)"}],
                "encoding": {**line, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "opacity": band},
            },
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {**line, "strokeDash": dash}},
            {
                "params": [{"name": "picked", "select": {"type": "point", "fields": ["title"]}, "bind": "legend"}],
                "mark": {"type": "point", "filled": True, "size": 70},
                "encoding": {**line, "shape": shape, "tooltip": tip},
            },
        ],
    )

"""How far the seeds of a configuration lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sft.reporting.html.charts.base import (
    GREY,
    LABEL_WIDTH,
    SERIES_COLOURS,
    Chart,
    choice,
    named_by,
    rounded,
    specification,
    tips,
)
from sft.reporting.html.numbered import Numbered

AT_MOST = 60


def seed_scatter(configurations: Sequence[Numbered], metrics: Sequence[str]) -> Chart | None:
    """A point per finished run, beside its configuration's mean and interval; of the first `AT_MOST` configurations.

    metrics: those to choose from. None where no run finished.
    """
    shown = [one for one in configurations if one.row.metrics][:AT_MOST]
    rows = [row for metric in metrics for one in shown for row in _rows(one, metric)]
    if not rows:
        return None
    about = "A point is a run; the tick is the mean, the bar its 95 % interval. Numbers are the leaderboard's."
    finished = sum(bool(one.row.metrics) for one in configurations)
    if finished > len(shown):
        about += f" The first {len(shown)} of {finished} configurations."
    return Chart("Seeds", about, _spec(rows, metrics, len(shown)))


def _rows(one: Numbered, metric: str) -> list[dict[str, Any]]:
    summary = one.row.metrics.get(metric)
    if summary is None:
        return []
    shared = {"configuration": one.label, "metric": metric}
    interval = {"mean": rounded(summary.mean), "low": rounded(summary.low), "high": rounded(summary.high)}
    points = [
        {
            **shared,
            "kind": "run",
            "value": rounded(run.metrics[metric]),
            "seed": run.seed,
            "run": run.name or run.folder,
        }
        for run in one.runs
        if metric in run.metrics
    ]
    return [{**shared, "kind": "mean", **interval}, *points]


def _spec(rows: Sequence[dict[str, Any]], metrics: Sequence[str], configurations: int) -> dict[str, Any]:
    y = {
        "field": "configuration",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"labelLimit": LABEL_WIDTH, "grid": True},
    }
    zero = {"zero": False}
    mean = {"filter": "datum.kind === 'mean'"}
    tip = tips(configuration="configuration", metric="metric", mean="mean", low="from", high="to")
    rule = {"y": y, "tooltip": tip}
    return specification(
        rows,
        height=max(60, 28 * configurations),
        title=named_by("metric"),
        params=[choice("metric", metrics, "Metric")],
        transform=[{"filter": "datum.metric === metric"}],
        layer=[
            {
                "transform": [mean, {"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 3, "color": GREY, "opacity": 0.6},
                "encoding": {
                    **rule,
                    "x": {"field": "low", "type": "quantitative", "title": None, "scale": zero},
                    "x2": {"field": "high"},
                },
            },
            {
                "transform": [mean],
                "mark": {"type": "tick", "thickness": 2, "size": 18, "color": "var(--text)"},
                "encoding": {**rule, "x": {"field": "mean", "type": "quantitative", "scale": zero}},
            },
            {
                "transform": [{"filter": "datum.kind === 'run'"}],
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.75, "color": SERIES_COLOURS[0]},
                "encoding": {
                    "y": y,
                    "x": {"field": "value", "type": "quantitative", "scale": zero},
                    "tooltip": tips(run="run", seed="seed", metric="metric", value="value"),
                },
            },
        ],
    )

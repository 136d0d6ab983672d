"""A learning curve as a picture. Needs matplotlib, the extra `plots`."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

from sft.errors import MissingPackageError
from sft.reporting.curve_points import CurvePoint, LearningCurve, Series

INSTALL = "pip install 'supervised-finetuning[plots]'"

# Okabe & Ito's palette, which colour-blind people can tell apart; markers and dashes say the same once more.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
_BASELINE_COLOUR = "#6E6E6E"
_BASELINE_DASHES: tuple[Any, ...] = ((0, (1, 2)), (0, (6, 2)))
_ZERO_COLOUR = "#222222"


def can_plot() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def curve_pictures(curve: LearningCurve) -> dict[str, bytes]:
    """File ending → content, the same for the same curve. Raises `MissingPackageError` without matplotlib."""
    if not can_plot():
        raise MissingPackageError("matplotlib", "the picture of a learning curve", INSTALL)
    import matplotlib

    pictures = {}
    # Text stays text in SVG, so that it can be searched; ids don't differ from one writing to the next.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sft"}):
        figure = _figure(curve)
        for ending, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            content = io.BytesIO()
            figure.savefig(content, format=ending, dpi=150, metadata=metadata)
            pictures[ending] = content.getvalue()
    return pictures


def _figure(curve: LearningCurve) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    methods = [series for series in curve.series if not series.baseline]
    names = list(dict.fromkeys(series.method for series in methods if not _is_bare(series)))
    calibrations = list(dict.fromkeys(series.calibration for series in methods))
    bare = {series.calibration: series.points[0] for series in methods if _is_bare(series)}
    for number, series in enumerate(series for series in curve.series if series.baseline):
        _draw_baseline(axes, series, _BASELINE_DASHES[number % len(_BASELINE_DASHES)])
    for series in methods:
        dashes = _DASHES[calibrations.index(series.calibration) % len(_DASHES)]
        if _is_bare(series):
            _draw_bare(axes, series, dashes)
            continue
        number = names.index(series.method)
        style = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}
        start = [bare[series.calibration]] if series.calibration in bare else []
        _draw_method(axes, series, [*start, *series.points], {**style, "linestyle": dashes})
    _label_axes(axes, curve)
    by_title = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    titles = [series.title for series in curve.series]
    axes.legend(
        [by_title[title] for title in titles], titles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
    )
    return figure


def _is_bare(series: Series) -> bool:
    return all(point.labels == 0 for point in series.points)


def _draw_method(axes: Any, series: Series, points: Sequence[CurvePoint], style: Mapping[str, Any]) -> None:
    """A line with its 95 % band; it begins at the bare model where that was run."""
    labels = [point.labels for point in points]
    axes.plot(labels, [point.mean for point in points], label=series.title, markersize=5, zorder=3, **style)
    banded = [point for point in points if point.low is not None]
    if banded:
        low, high = [point.low for point in banded], [point.high for point in banded]
        axes.fill_between([point.labels for point in banded], low, high, color=style["color"], alpha=0.15, linewidth=0)


def _draw_bare(axes: Any, series: Series, dashes: Any) -> None:
    """A point with its interval, and a thin line to compare with."""
    (point,) = series.points
    errors = None if point.low is None else [[point.mean - point.low], [(point.high or point.mean) - point.mean]]
    style = {"color": _ZERO_COLOUR, "marker": "x", "capsize": 3, "linewidth": 0.9, "zorder": 4}
    axes.errorbar([point.labels], [point.mean], yerr=errors, label=series.title, linestyle=dashes, **style)
    axes.axhline(point.mean, color=_ZERO_COLOUR, linewidth=0.6, linestyle=dashes, alpha=0.5, zorder=1)


def _draw_baseline(axes: Any, series: Series, dashes: Any) -> None:
    points = series.points
    style = {"color": _BASELINE_COLOUR, "linestyle": dashes, "marker": ".", "linewidth": 1.2, "zorder": 2}
    axes.plot([point.labels for point in points], [point.mean for point in points], label=series.title, **style)


def _label_axes(axes: Any, curve: LearningCurve) -> None:
    """Logarithmic from the fewest labels on; linear below, where 0 is."""
    ticks: dict[float, int] = {point.labels: point.shots for series in curve.series for point in series.points}
    positive = [labels for labels in ticks if labels > 0]
    if positive:
        axes.set_xscale("symlog", base=2, linthresh=min(positive), linscale=1.0)
    axes.set_xticks(sorted(ticks), [f"{labels:g}\n{ticks[labels]}" for labels in sorted(ticks)])
    axes.minorticks_off()
    beneath = "\nbeneath: of each label" if curve.per_label else ""
    if not curve.per_label:
        axes.set_xticks(sorted(ticks), [f"{labels:g}" for labels in sorted(ticks)])
    axes.set_xlabel(f"labels used in all{beneath}")
    axes.set_ylabel(curve.metric.replace("_", " "))
    axes.set_title(f"{curve.model} on {curve.dataset}", fontsize="medium")
    axes.grid(axis="y", linewidth=0.4, alpha=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)

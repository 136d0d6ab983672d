"""Which columns a table for people shows, and how numbers are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sft.reporting.headlines import headlines
from sft.reporting.rows import ConfigurationRow, Mark, ReportTable, Summary

BASELINE_TITLES = {
    "majority": "majority class",
    "random_guess": "random guess",
    "every_label": "every label",
    "tfidf_logistic_regression": "TF-IDF + LR",
}
TIED = "≈"
OVER_SEEDS_ONLY = "ˢ"


class Cell(NamedTuple):
    """A cell of a table: what is always shown, the interval beside it, and its mark."""

    text: str
    interval: str = ""
    mark: Mark | None = None

    @property
    def plain(self) -> str:
        """All of it in one line without markup; what is tied is said by a sign."""
        tied = TIED if self.mark == "tied" else ""
        return " ".join(part for part in (f"{self.text}{tied}", self.interval) if part)


class Cells(NamedTuple):
    header: list[str]
    rows: list[list[Cell]]


def headline_metrics(table: ReportTable) -> list[str]:
    """The metrics to show, in a fixed order; all of them where none of the usual ones was computed."""
    return headlines(name for row in table.configurations for name in row.metrics)


def configuration_cells(table: ReportTable) -> Cells:
    """The table over seeds: settings that vary, metrics, and the baselines on the same shots."""
    metrics = headline_metrics(table)
    baselines = list(dict.fromkeys(name for row in table.configurations for name in row.baselines))
    compared = "accuracy" if "accuracy" in metrics else (metrics[0] if metrics else "")
    header = [*table.varying, "seeds", *metrics, *(f"{compared} of {BASELINE_TITLES.get(b, b)}" for b in baselines)]
    rows = []
    for row in table.configurations:
        cells = [Cell(show(row.settings.get(name))) for name in table.varying]
        cells.append(Cell(_seeds(row)))
        cells += [_summary_cell(row, name) for name in metrics]
        cells += [Cell(show_spread(row.baselines.get(name, {}).get(compared))) for name in baselines]
        rows.append(cells)
    return Cells(header, rows)


def run_cells(table: ReportTable) -> Cells:
    """The table of single runs."""
    metrics = headline_metrics(table)
    header = ["run", *table.varying, "seed", *metrics, "seconds"]
    rows = []
    for row in table.runs:
        cells = [row.name or row.folder, *(show(row.settings.get(name)) for name in table.varying), str(row.seed)]
        cells += [number(row.metrics.get(name)) for name in metrics]
        cells.append("failed" if row.status == "failed" else f"{row.seconds or 0:.0f}")
        rows.append([Cell(text) for text in cells])
    return Cells(header, rows)


def show(value: Any) -> str:
    """A setting as a cell: absent values are a dash, numbers are short, lists and maps are JSON."""
    if value is None:
        return "–"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)


def show_spread(value: Summary | None) -> str:
    """mean ± standard deviation; the mean alone for one run."""
    if value is None:
        return "–"
    return number(value.mean) if value.sd is None else f"{number(value.mean)} ± {number(value.sd)}"


def show_interval(value: Summary) -> str:
    if value.low is None or value.high is None:
        return ""
    return f"[{number(value.low)}, {number(value.high)}]{OVER_SEEDS_ONLY if value.interval_over == 'seeds' else ''}"


def number(value: float | None) -> str:
    """Three decimals, one for large numbers."""
    return "–" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _summary_cell(row: ConfigurationRow, metric: str) -> Cell:
    summary = row.metrics.get(metric)
    if summary is None:
        return Cell("–")
    return Cell(show_spread(summary), show_interval(summary), row.marks.get(metric))


def _seeds(row: ConfigurationRow) -> str:
    """How many finished, and what is to be known of that; `any` where no seed matters."""
    remarks = ["few"] if any(summary.few for summary in row.metrics.values()) else []
    remarks += [f"{count} {what}" for count, what in ((row.failed, "failed"), (row.missing, "missing")) if count]
    text = "any" if row.seedless else str(len(row.seeds))
    return f"{text} ({', '.join(remarks)})" if remarks else text


def in_common(table: ReportTable) -> Sequence[str]:
    """`setting: value` for the settings that all configurations share and that are set."""
    return [f"{name}: {show(value)}" for name, value in table.constant.items() if value is not None]

"""Which columns a table for people shows, and how numbers are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sft.reporting.table import BASELINE_TITLES, ConfigurationRow, ReportTable, Spread

# What a first look needs; the JSON beside holds every scalar.
_HEADLINES = (
    "accuracy", "macro_f1", "mcc", "ece", "invalid_rate",
    "exact_match", "token_f1", "bleu", "chrf", "rouge1", "rouge2", "rougeL",
)  # fmt: skip


def headline_metrics(table: ReportTable) -> list[str]:
    """The metrics to show, in a fixed order; all of them where none of the usual ones was computed."""
    present = list(dict.fromkeys(name for row in table.configurations for name in row.metrics))
    return [name for name in _HEADLINES if name in present] or present


def configuration_cells(table: ReportTable) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table over seeds: settings that vary, metrics, and the baselines on the same shots."""
    metrics = headline_metrics(table)
    baselines = list(dict.fromkeys(name for row in table.configurations for name in row.baselines))
    compared = "accuracy" if "accuracy" in metrics else (metrics[0] if metrics else "")
    header = [*table.varying, "seeds", *metrics, *(f"{compared} of {BASELINE_TITLES.get(b, b)}" for b in baselines)]
    rows = []
    for row in table.configurations:
        cells = [show(row.settings.get(name)) for name in table.varying]
        cells.append(_seeds(row))
        cells += [show_spread(row.metrics.get(name)) for name in metrics]
        cells += [show_spread(row.baselines.get(name, {}).get(compared)) for name in baselines]
        rows.append(cells)
    return header, rows


def run_cells(table: ReportTable) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of single runs."""
    metrics = headline_metrics(table)
    header = ["run", *table.varying, "seed", *metrics, "seconds"]
    rows = []
    for row in table.runs:
        cells = [row.name or row.folder, *(show(row.settings.get(name)) for name in table.varying), str(row.seed)]
        cells += [_number(row.metrics.get(name)) for name in metrics]
        cells.append("failed" if row.status == "failed" else f"{row.seconds or 0:.0f}")
        rows.append(cells)
    return header, rows


def show(value: Any) -> str:
    """A setting as a cell: absent values are a dash, numbers are short, lists and maps are JSON."""
    if value is None:
        return "–"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)


def show_spread(value: Spread | None) -> str:
    """mean ± standard deviation; the mean alone for one run."""
    if value is None:
        return "–"
    return _number(value.mean) if value.sd is None else f"{_number(value.mean)} ± {_number(value.sd)}"


def _seeds(row: ConfigurationRow) -> str:
    return str(len(row.seeds)) + (f" (+{row.failed} failed)" if row.failed else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def caption(table: ReportTable) -> Sequence[str]:
    """`setting: value` for the settings that all configurations share and that are set."""
    return [f"{name}: {show(value)}" for name, value in table.constant.items() if value is not None]

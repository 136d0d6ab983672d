"""`aggregated_results.csv`: one line per configuration, every number in a column of its own."""

from __future__ import annotations

import csv
import io
from typing import Any

from sft.reporting.columns import show
from sft.reporting.rows import ConfigurationRow, ReportTable

_NUMBERS = ("mean", "sd", "median", "q25", "q75", "low", "high", "interval_over")


def as_csv(table: ReportTable) -> str:
    """Settings, seeds (separated by spaces), then for each metric `<metric> mean`, `sd`, `median`, `q25`, `q75`, the
    ends of the interval, what it is over, and the mark; then means and standard deviations of the baselines. What is
    absent is empty. Numbers have all their digits.
    """
    settings = [*table.varying, *table.constant]
    metrics = list(dict.fromkeys(name for row in table.configurations for name in row.metrics))
    baselines = list(
        dict.fromkeys(
            (b, name) for row in table.configurations for b, values in row.baselines.items() for name in values
        )
    )
    header = [*settings, "seeds", "finished", "failed", "missing"]
    header += [f"{metric} {what}" for metric in metrics for what in (*_NUMBERS, "mark")]
    header += [f"{baseline} {name} {what}" for baseline, name in baselines for what in ("mean", "sd")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in table.configurations:
        line: list[Any] = [_setting(row.settings.get(name)) for name in settings]
        line += [" ".join(map(str, row.seeds)), _finished(row), row.failed, row.missing]
        for metric in metrics:
            line += [*_numbers(row.metrics.get(metric), _NUMBERS), row.marks.get(metric, "")]
        for baseline, name in baselines:
            line += _numbers(row.baselines.get(baseline, {}).get(name), ("mean", "sd"))
        writer.writerow(line)
    return text.getvalue()


def _setting(value: Any) -> str:
    return "" if value is None else show(value)


def _finished(row: ConfigurationRow) -> int:
    return int(bool(row.metrics)) if row.seedless else len(row.seeds)


def _numbers(value: Any, names: tuple[str, ...]) -> list[Any]:
    found = [None if value is None else getattr(value, name) for name in names]
    return ["" if number is None else number for number in found]

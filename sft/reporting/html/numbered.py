"""The configurations of a table under the numbers that the whole page calls them by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sft.reporting.columns import show
from sft.reporting.rows import ConfigurationRow, ReportTable, RunRow


class Numbered(NamedTuple):
    """number: from 1, in the order of the table. label: the number and the settings that vary. runs: all of them."""

    number: int
    label: str
    row: ConfigurationRow
    runs: Sequence[RunRow]


def numbered(table: ReportTable) -> list[Numbered]:
    of_settings: dict[str, list[RunRow]] = {}
    for run in table.runs:
        of_settings.setdefault(_settings_key(run.settings), []).append(run)
    return [
        Numbered(number, _label(number, row, table.varying), row, of_settings.get(_settings_key(row.settings), []))
        for number, row in enumerate(table.configurations, start=1)
    ]


def _label(number: int, row: ConfigurationRow, varying: Sequence[str]) -> str:
    values = [(name, row.settings.get(name)) for name in varying]
    texts = [f"{name} {show(value)}" for name, value in values if value is not None]
    return " · ".join([f"#{number}", *texts])


def _settings_key(settings: Mapping[str, Any]) -> str:
    """What no two configurations of a table have in common."""
    return json.dumps(settings, sort_keys=True, default=str)

"""In which keys the configs of a page's runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sft.config.schema import ExperimentConfig
from sft.records import RunRecord
from sft.reporting.columns import show
from sft.reporting.differences import flat_config
from sft.reporting.html.numbered import Numbered
from sft.reporting.members import trains_of


class Difference(NamedTuple):
    """key: dotted; value: as text. configurations: the numbers of those that have it."""

    key: str
    value: str
    configurations: str


def config_differences(configurations: Sequence[Numbered], records: Mapping[str, RunRecord]) -> list[Difference]:
    """A row for each value of each key that isn't the same everywhere; seeds and what no result depends on left out.

    records: by `RunRecord.folder_name`. A key that a configuration lacks has the value "–".
    """
    flat = {one.number: _flat(one, records) for one in configurations if one.runs}
    keys = sorted({key for values in flat.values() for key in values})
    found = []
    for key in keys:
        by_value: dict[str, list[int]] = {}
        for number, values in flat.items():
            by_value.setdefault(show(values.get(key)), []).append(number)
        if len(by_value) > 1:
            found += [Difference(key, value, ranges(numbers)) for value, numbers in by_value.items()]
    return found


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in short: `#1–3, #5`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"#{part[0]}" if len(part) == 1 else f"#{part[0]}–{part[-1]}" for part in parts)


def _flat(one: Numbered, records: Mapping[str, RunRecord]) -> dict[str, Any]:
    record = records[one.runs[0].folder]
    config = ExperimentConfig.model_validate(record.config)
    return flat_config(config, trains=trains_of(record, config))

"""`aggregated_results.json`: the whole table, every scalar metric included."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sft.reporting.rows import ReportTable


def as_json(table: ReportTable) -> dict[str, Any]:
    return {
        "configurations": [asdict(row) for row in table.configurations],
        "runs": [asdict(row) for row in table.runs],
        "settings_that_vary": list(table.varying),
        "settings_in_common": dict(table.constant),
        "notes": list(table.notes),
        "comparisons": [asdict(comparison) for comparison in table.comparisons],
        "resamples": table.resamples,
    }

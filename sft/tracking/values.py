"""What trackers are told: the config as names and plain values, and a record's numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sft.config.flat import flat
from sft.config.secrets import without_secrets
from sft.records import RunRecord

Plain = str | int | float | bool


def settings(run_id: str, config: Mapping[str, Any]) -> dict[str, Plain]:
    """The run's id and its config under dotted names; what is null or secret is left out, lists are JSON."""
    values = flat(without_secrets(config))
    return {"run_id": run_id, **{name: _plain(value) for name, value in values.items() if value is not None}}


def numbers(record: RunRecord) -> dict[str, float]:
    """`test/…`: metrics; `baselines/…`: those on the same shots; `seconds/…`: by stage."""
    found = {f"test/{name}": value for name, value in record.results.items()}
    for baseline, results in record.baselines.items():
        found |= {f"baselines/{baseline}/{name}": value for name, value in results.items()}
    found |= {f"seconds/{stage}": value for stage, value in record.timings.items()}
    return finite(found)


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Only the numbers: no tables, no texts, no NaN, which some trackers refuse."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def _plain(value: Any) -> Plain:
    return value if isinstance(value, (str, int, float)) else json.dumps(value, ensure_ascii=False)

"""What runs spend their time on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from sft.records import RunRecord
from sft.reporting.html.charts.base import LABEL_WIDTH, Chart, coloured, rounded, specification, tips
from sft.reporting.html.charts.seeds import AT_MOST
from sft.reporting.html.numbered import Numbered

_TOTAL = "total"


def stage_times(configurations: Sequence[Numbered], records: Mapping[str, RunRecord]) -> Chart | None:
    """records: by `RunRecord.folder_name`. None where no run says how long it took."""
    rows = [row for one in configurations[:AT_MOST] for row in _rows(one, records)]
    if not rows:
        return None
    about = (
        "Seconds by stage, mean over the finished runs of a configuration. Stages under 0.5 % of a run are left out."
    )
    if len(configurations) > AT_MOST:
        about += f" The first {AT_MOST} of {len(configurations)} configurations."
    return Chart("Time", about, _spec(rows))


def _rows(one: Numbered, records: Mapping[str, RunRecord]) -> list[dict[str, Any]]:
    timings = [records[run.folder].timings for run in one.runs if run.status == "completed"]
    timings = [each for each in timings if each.get(_TOTAL)]
    stages = dict.fromkeys(stage for each in timings for stage in each if stage != _TOTAL)
    means = {stage: fmean(each.get(stage, 0.0) for each in timings) for stage in stages}
    whole = sum(means.values())
    return [
        {"configuration": one.label, "stage": stage, "seconds": rounded(mean), "order": number}
        for number, (stage, mean) in enumerate(means.items())
        if mean > 0.005 * whole
    ]


def _spec(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    return specification(
        rows,
        height=max(60, 28 * len({row["configuration"] for row in rows})),
        mark={"type": "bar", "stroke": "var(--page)", "strokeWidth": 1},
        encoding={
            "y": {
                "field": "configuration",
                "type": "nominal",
                "title": None,
                "sort": None,
                "axis": {"labelLimit": LABEL_WIDTH},
            },
            "x": {"field": "seconds", "type": "quantitative", "title": "seconds"},
            "color": {
                "field": "stage",
                "type": "nominal",
                "scale": coloured(stages),
                "legend": {"orient": "bottom", "columns": 2, "title": None},
            },
            "order": {"field": "order"},
            "tooltip": tips(configuration="configuration", stage="stage", seconds="seconds"),
        },
    )

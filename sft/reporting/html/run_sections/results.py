"""Every number that a run has for a result, beside the baselines'."""

from __future__ import annotations

from sft.reporting.columns import BASELINE_TITLES, number
from sft.reporting.html.run_sections.base import Section, ShownRun, run_section
from sft.reporting.summaries import scalars


@run_section("results", place=10, title="Results")
def results(run: ShownRun) -> Section | str:
    own = scalars(run.record.results)
    if not own:
        return "no result is a number"
    baselines = {name: scalars(values) for name, values in run.record.baselines.items()}
    header = ["metric", "run", *(BASELINE_TITLES.get(name, name) for name in baselines)]
    rows = [
        [name, number(value), *(number(values.get(name)) for values in baselines.values())]
        for name, value in own.items()
    ]
    return Section("Results", {"header": header, "rows": rows})

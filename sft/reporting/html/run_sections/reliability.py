"""The reliability diagram of a run's probabilities."""

from __future__ import annotations

from sft.reporting.html.charts.reliability import reliability_diagram
from sft.reporting.html.run_sections.base import Section, ShownRun, run_section


@run_section("reliability", place=40, title="Reliability")
def reliability(run: ShownRun) -> Section | str:
    bins = run.record.results.get("reliability")
    if not bins:
        return "its results have no bins of confidence"
    return Section("Reliability", {"chart": reliability_diagram(bins, run.record.results.get("ece"))}, wide=False)

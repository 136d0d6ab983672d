"""The risk–coverage curve of a run's probabilities."""

from __future__ import annotations

from sft.reporting.html.charts.risk_coverage import risk_coverage_curve
from sft.reporting.html.run_sections.base import Section, ShownRun, probabilities_of, run_section


@run_section("risk", place=50, title="Risk and coverage")
def risk(run: ShownRun) -> Section | str:
    probabilities = probabilities_of(run)
    if isinstance(probabilities, str):
        return probabilities
    assert run.right is not None
    chart = risk_coverage_curve(probabilities.max(axis=1), run.right)
    return Section("Risk and coverage", {"chart": chart}, wide=False)

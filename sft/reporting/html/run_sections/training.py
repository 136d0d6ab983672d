"""What the trainer logged."""

from __future__ import annotations

from sft.reporting.html.charts.training_log import training_curves
from sft.reporting.html.run_sections.base import Section, ShownRun, run_section


@run_section("training", place=60, title="Training curves")
def training(run: ShownRun) -> Section | str:
    if run.record.training is None:
        return "it trained nothing"
    chart = training_curves(run.record.training.get("log") or [])
    if chart is None:
        return "its trainer logged fewer than two steps"
    return Section("Training curves", {"chart": chart}, wide=False)

"""Precision, recall and F1 of each label."""

from __future__ import annotations

from sft.reporting.columns import number
from sft.reporting.html.run_sections.base import FEW_LABELS, Section, ShownRun, run_section


@run_section("per_class", place=30, title="Per class")
def per_class(run: ShownRun) -> Section | str:
    table = run.record.results.get("per_class") or run.record.results.get("per_label")
    if not table:
        return "its results have no table of labels"
    rows = [
        [row["label"], *(number(row[name]) for name in ("precision", "recall", "f1")), str(row["support"])]
        for row in table
    ]
    values = {"header": ["label", "precision", "recall", "F1", "rows"], "rows": rows}
    return Section("Per class", values, wide=len(rows) > FEW_LABELS)

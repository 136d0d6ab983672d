"""What a run was, in a few words."""

from __future__ import annotations

from collections.abc import Mapping

from sft.reporting.html.run_sections.base import ShownRun


def facts(run: ShownRun) -> list[tuple[str, str]]:
    """Name and value of what the run's record says; what it doesn't say is left out."""
    record = run.record
    budget = record.counts.get("label_budget")
    found = {
        "configuration": f"#{run.number}",
        "seed": record.seed,
        "model": record.model.get("base") or record.config["model"]["name"],
        "checkpoint": record.model.get("adapter"),
        "device": record.model.get("device"),
        "test rows": len(record.data.get("test_row_numbers", ())),
        "labels used": sum(budget.values()) if isinstance(budget, Mapping) else budget,
        "finished": record.finished_at or None,
        "folder": record.folder_name,
    }
    return [(name, str(value)) for name, value in found.items() if value is not None]

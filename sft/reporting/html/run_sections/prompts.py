"""One prompt as the model saw it, in training and when it answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft.reporting.html.run_sections.base import Section, ShownRun, run_section


@run_section("prompts", place=70, title="Prompts")
def prompts(run: ShownRun) -> Section | str:
    """From the examples that a run keeps in `training.example` and `inference.example`."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for title, report in (("Training sequence", run.record.training), ("Prompt of a test row", run.record.inference)):
        example = (report or {}).get("example")
        if example:
            found.append((title, example))
    return Section("Prompts", {"prompts": found}) if found else "its record, of an earlier version, keeps none"

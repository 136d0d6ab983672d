"""Labelled rows in every prompt."""

from __future__ import annotations

from sft.init.draft import Choices, Entry, entry
from sft.init.methods.base import method_registry
from sft.init.task import Task

_EXAMPLES_IN_A_PROMPT = 16


@method_registry.register("icl")
def icl(task: Task, choices: Choices) -> list[Entry]:
    """As many examples as a prompt easily takes."""
    per_label = task.task_type == "classification"
    most = max(1, _EXAMPLES_IN_A_PROMPT // max(1, len(task.counts))) if per_label else _EXAMPLES_IN_A_PROMPT // 2
    unit = "of each label" if per_label else "in total"
    return [
        entry("dataset.shots", 0, "nothing is trained: the labelled rows are the examples of the prompt"),
        entry("inference.icl_examples", min(choices.shots, most), f"labelled examples {unit} in every prompt"),
    ]

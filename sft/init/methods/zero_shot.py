"""The model as it is."""

from __future__ import annotations

from sft.init.draft import Choices, Entry, entry
from sft.init.methods.base import method_registry
from sft.init.task import Task


@method_registry.register("zero-shot")
def zero_shot(task: Task, choices: Choices) -> list[Entry]:
    return [entry("dataset.shots", 0, "no labelled row is used")]

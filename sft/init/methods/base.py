"""What is tried on a task: each method is a few values of a config beside those that all share."""

from __future__ import annotations

from collections.abc import Callable

from sft.init.draft import Choices, Entry
from sft.init.task import Task
from sft.registry import Registry

Method = Callable[[Task, Choices], list[Entry]]
method_registry: Registry[Method] = Registry("method")
"""Name → the entries that the method adds."""


def default_shots(task: Task) -> int:
    """Rows per label where rows have labels, as many as are easily labelled by hand; else rows in total."""
    return 16 if task.task_type in ("classification", "multilabel") else min(64, task.train)

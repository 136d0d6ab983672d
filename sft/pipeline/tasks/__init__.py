"""What runs of each task type do, by name. A new one is a new file in this folder (and one in sft/data/outputs)."""

from sft.pipeline.tasks.base import Asked, Task, task_of, task_registry, task_scoring_shots
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Asked", "Task", "task_of", "task_registry", "task_scoring_shots"]

"""What is tried on a task: each method is a few values of a config beside those that all share."""

from __future__ import annotations

from collections.abc import Callable

from sft.init.draft import Choices, Entry, entry, tokens_at_most
from sft.init.task import Task
from sft.registry import Registry

Method = Callable[[Task, Choices], list[Entry]]
method_registry: Registry[Method] = Registry("method")
"""Name → the entries that the method adds."""

_EXAMPLES_IN_A_PROMPT = 16
_LONG_EXAMPLE = 512


def default_shots(task: Task) -> int:
    """Rows per label where rows have labels, as many as are easily labelled by hand; else rows in total."""
    return 16 if task.task_type in ("classification", "multilabel") else 64


@method_registry.register("zero-shot")
def zero_shot(task: Task, choices: Choices) -> list[Entry]:
    return [entry("dataset.shots", 0, "no labelled row is used")]


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


@method_registry.register("lora")
def lora(task: Task, choices: Choices) -> list[Entry]:
    per_label = task.task_type in ("classification", "multilabel")
    scarce = sorted(name for name, count in task.counts.items() if count < choices.shots) if per_label else []
    why = "labelled rows of each label" if per_label else "labelled rows in total"
    why += f"; all there are of {', '.join(scarce[:3])}{' and others' if len(scarce) > 3 else ''}" if scarce else ""
    long = tokens_at_most(task.longest_input * len(task.inputs) + task.longest_output) > _LONG_EXAMPLE
    batch = [
        entry("training.trainer_args.per_device_train_batch_size", 2 if long else 8, "with the next: rows per step"),
        entry("training.trainer_args.gradient_accumulation_steps", 4 if long else 1, "batches per step"),
    ]
    return [
        entry("dataset.shots", choices.shots, why),
        entry(
            "lora",
            {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
            "a small adapter of every layer is trained",
        ),
        entry("training.trainer_args.num_train_epochs", 10, "times that each row is seen"),
        entry(
            "training.trainer_args.learning_rate", 2e-4, "usual for LoRA; training.select can choose it on the shots"
        ),
        *batch,
    ]

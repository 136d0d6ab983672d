"""A LoRA adapter, trained on the labelled rows."""

from __future__ import annotations

from sft.init.draft import Choices, Entry, entry, tokens_at_most
from sft.init.methods.base import method_registry
from sft.init.task import Task

_LONG_EXAMPLE = 512


@method_registry.register("lora")
def lora(task: Task, choices: Choices) -> list[Entry]:
    per_label = task.task_type in ("classification", "multilabel")
    scarce = sorted(name for name, count in task.counts.items() if count < choices.shots) if per_label else []
    why = "labelled rows of each label" if per_label else "labelled rows in total"
    why += f"; all there are of {', '.join(scarce[:3])}{' and others' if len(scarce) > 3 else ''}" if scarce else ""
    long = tokens_at_most(sum(task.longest_inputs) + task.longest_output) > _LONG_EXAMPLE
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

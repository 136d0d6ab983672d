"""Whole runs in a second: a tiny model, a tiny data set, and a config that joins them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sft.config.schema import ExperimentConfig
from tests.fakes import make_config, write_dataset
from tests.tiny_models import save_tiny_model

TRAINER_ARGS = {"max_steps": 4, "learning_rate": 0.02, "per_device_train_batch_size": 2}


def tiny_run(
    folder: Path,
    *,
    architecture: str = "llama",
    chat: bool = False,
    train: Iterable[Mapping[str, Any]] | None = None,
    test: Iterable[Mapping[str, Any]] | None = None,
    trainer_args: Mapping[str, Any] | None = None,
    **sections: Any,
) -> ExperimentConfig:
    """A config for a tiny model and data set, both written into `folder`; sections as for `make_config`.

    A model that is there already is kept, so that several configs of a test share it.
    """
    base = folder / f"{architecture}{'-chat' if chat else ''}"
    if not base.exists():
        save_tiny_model(base, architecture, chat=chat)
    data = write_dataset(folder / "data", train, test)
    dataset = {"path": str(data), **sections.pop("dataset", {})}
    model = {"name": str(base), **sections.pop("model", {})}
    training = {"trainer_args": {**TRAINER_ARGS, **(trainer_args or {})}, **sections.pop("training", {})}
    lora = sections.pop("lora", {"r": 4, "target_modules": "all-linear"})
    return make_config(dataset=dataset, model=model, training=training, lora=lora, **sections)

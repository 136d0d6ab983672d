"""A small task in which rows have any number of three labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from tests.tiny_runs import tiny_run

LABELS = ("anger", "great sadness", "joy")
WORDS = ("grr", "boo", "yay")
LABEL_SET = LabelSet(LABELS, LABELS, exclusive=False)


def rows(count: int, *, seed: int = 0, prefix: str = "") -> list[dict[str, Any]]:
    """Each label in four of ten rows; a word of the text tells it."""
    has = np.random.default_rng(seed).random((count, 3)) < 0.4
    return [
        {
            "text": f"{prefix}message {i} {' '.join(w for w, here in zip(WORDS, row, strict=True) if here)}".strip(),
            "labels": [name for name, here in zip(LABELS, row, strict=True) if here],
        }
        for i, row in enumerate(has)
    ]


def examples(label_sets: Sequence[Sequence[int]]) -> list[Example]:
    return [Example(row, {"text": f"text {row}"}, labels=tuple(labels)) for row, labels in enumerate(label_sets)]


def multilabel_run(folder: Path, *, train: int = 24, test: int = 8, **sections: Any) -> ExperimentConfig:
    """As `tiny_run`, with two folds."""
    return tiny_run(
        folder,
        train=rows(train),
        test=rows(test, seed=1, prefix="new "),
        dataset={"task_type": "multilabel", "shots": 3, **sections.pop("dataset", {})},
        prompting={"input_columns": ["text"], "output_column": "labels", **sections.pop("prompting", {})},
        inference={"folds": 2, **sections.pop("inference", {})},
        **sections,
    )

"""A row of a task as prompting and evaluation see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LabelSet:
    """The labels of a task.

    names: the values in the data, as text. verbalisations: what the model reads (and scores) for each, same order.
    exclusive: whether every row has exactly one.
    """

    names: tuple[str, ...]
    verbalisations: tuple[str, ...]
    exclusive: bool = True

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Example:
    """One row: its position in the split as loaded, its input columns as clean text, and its answer.

    label: index into the label set (classification) or into the candidates (multiple choice). references: one or more
    texts (generation), the first being the one that is trained on. labels: ascending indices into the label set
    (multi-label), maybe none. All are absent for unlabelled rows. candidates: two or more different texts, the row's
    own (multiple choice).
    """

    row: int
    inputs: Mapping[str, str]
    label: int | None = None
    references: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    labels: tuple[int, ...] | None = None

    def has(self, label: int) -> bool:
        """Whether the row is labelled with it, alone or among others."""
        return label == self.label or label in (self.labels or ())


@dataclass(frozen=True)
class TaskData:
    """All rows of a task, before any sampling.

    test_rows: the test split's original columns, for writing predictions. duplicates: training rows whose inputs also
    occur in the test split (already dropped from `train` where the config says so). fingerprint: of both splits.
    """

    train: list[Example]
    test: list[Example]
    labels: LabelSet | None
    test_rows: Any
    duplicates: int
    duplicates_dropped: bool
    fingerprint: str

"""What a run produced on the test rows, in the form that metrics take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sft.config.schema import TaskType


@dataclass(frozen=True)
class ClassificationOutcome:
    """References and predictions as indices into `labels`.

    references: [N] int. predictions: [N] int, `INVALID` where a generated answer named no label. probabilities: [N, L]
    float, rows sum to 1, or None where the method gives none (classification by generation).
    """

    task_type: ClassVar[TaskType] = "classification"

    labels: tuple[str, ...]
    references: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class GenerationOutcome:
    """Generated texts and, for each, one or more reference texts.

    references: [N] non-empty lists. predictions: [N] texts.
    """

    task_type: ClassVar[TaskType] = "generation"

    references: list[list[str]]
    predictions: list[str]


@dataclass(frozen=True)
class MultilabelOutcome:
    """Which of `labels` rows have, and were said to have.

    references, predictions: [N, L] bool. log_odds: [N, L], of having each label, or None where the method gives none.
    """

    task_type: ClassVar[TaskType] = "multilabel"

    labels: tuple[str, ...]
    references: NDArray[np.bool_]
    predictions: NDArray[np.bool_]
    log_odds: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class StructuredOutcome:
    """Texts that ought to be JSON values of a schema, and what they ought to say.

    schema: a JSON Schema. references: [N] JSON texts. predictions: [N] texts.
    """

    task_type: ClassVar[TaskType] = "structured"

    schema: dict[str, Any]
    references: list[str]
    predictions: list[str]


@dataclass(frozen=True)
class MultipleChoiceOutcome:
    """References and predictions as indices into each row's own candidates.

    candidates: [N], different numbers of texts. references, predictions: [N] int. probabilities: [N, L] float, rows sum
    to 1; L is the largest number of candidates, and what a row lacks is 0.
    """

    task_type: ClassVar[TaskType] = "multiple_choice"

    candidates: Sequence[Sequence[str]]
    references: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float64]


# Where an answer is one of several that are given, so that it is right or wrong.
ChosenOutcome = ClassificationOutcome | MultipleChoiceOutcome
Outcome = ChosenOutcome | GenerationOutcome | StructuredOutcome | MultilabelOutcome

"""Which of a run's answers are right, and how references and answers are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.metrics import metric_registry
from sft.evaluation.outcome import ChosenOutcome
from sft.evaluation.resampling import JudgedRun

# Task type → the metric that says by row which answers are right.
RIGHT = {
    "classification": "accuracy",
    "multiple_choice": "accuracy",
    "multilabel": "subset_accuracy",
    "generation": "exact_match",
    "structured": "value_match",
}


def right_answers(run: JudgedRun) -> NDArray[np.bool_]:
    """[N]: whether the metric that `RIGHT` names is 1 for the row."""
    outcome = run.outcome
    if isinstance(outcome, ChosenOutcome):
        return np.equal(outcome.predictions, outcome.references)
    exact = metric_registry[RIGHT[outcome.task_type]]
    assert exact.row_sums is not None
    own = {name: value for name, value in run.arguments.items() if name in exact.arguments}
    of_rows = exact.row_sums.of_rows(outcome, **own)
    assert of_rows is not None
    right: NDArray[np.bool_] = of_rows[:, 0] == 1
    return right


def references_of(item: Mapping[str, Any]) -> list[str]:
    """The right answers of an item: texts of which one suffices, or labels that all belong to it."""
    if "references" in item:
        return list(item["references"])
    return item["reference"] if isinstance(item["reference"], list) else [item["reference"]]


def shown_answer(prediction: str | list[str]) -> str:
    return prediction if isinstance(prediction, str) else ", ".join(prediction)

"""Which answers of a run are right, by the metric of its task type that says so for every row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.metrics import metric_registry
from sft.evaluation.outcome import ChosenOutcome
from sft.evaluation.resampling import JudgedRun

RIGHT = {
    "classification": "accuracy",
    "multiple_choice": "accuracy",
    "multilabel": "subset_accuracy",
    "generation": "exact_match",
    "structured": "value_match",
}
"""Task type → that metric."""


def right_answers(run: JudgedRun) -> NDArray[np.bool_]:
    """[rows]."""
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

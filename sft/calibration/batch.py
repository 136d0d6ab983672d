"""Batch calibration (Zhou et al. 2023, arXiv 2309.17249)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sft.calibration.base import Adjusted, Calibration, Needs, Scores, Support, calibration_registry
from sft.calibration.enough_rows import check_enough_rows
from sft.label_scores import log_softmax

EstimateOn = Literal["test", "unlabelled"]

# The mean of a single row says nothing of a bias.
LEAST_ROWS = 2


@calibration_registry.register("batch")
class BatchCalibration:
    """Remove the mean over many inputs.

    space `log`: subtract the mean of the log-softmax scores; `probability`: divide by the mean probability. estimate_on
    `test`: the mean is over the test rows, so the method is transductive, and an imbalanced test set is pulled towards
    balance. `unlabelled`: over the rows of the file `unlabelled_path`, which needs the input columns only.
    """

    def __init__(
        self,
        *,
        space: Literal["log", "probability"] = "log",
        estimate_on: EstimateOn = "test",
        unlabelled_path: str | None = None,
    ) -> None:
        self._space = space
        self.transductive = estimate_on == "test"
        self.needs = Needs(unlabelled=unlabelled_file(estimate_on, unlabelled_path), least_rows=LEAST_ROWS)

    def adjust(self, scores: Scores, support: Support) -> Adjusted:
        log_probs = log_softmax(rows_of_the_bias(self, scores, support))
        if self._space == "log":
            mean: Scores = log_probs.mean(axis=0)
        else:
            mean = np.logaddexp.reduce(log_probs, axis=0) - np.log(len(log_probs))
        return Adjusted(log_softmax(scores) - mean, {})


def unlabelled_file(estimate_on: EstimateOn, path: str | None) -> str | None:
    """The path. Raises `ValueError` where `estimate_on` and the path don't go together."""
    if (estimate_on == "unlabelled") != (path is not None):
        given = "missing" if path is None else f"given ({path!r})"
        raise ValueError(f"unlabelled_path is {given}, and estimate_on is {estimate_on!r}: the two go together")
    return path


def rows_of_the_bias(calibration: Calibration, scores: Scores, support: Support) -> Scores:
    """The rows on which the bias is estimated. Raises `SftError` for too few."""
    check_enough_rows(calibration, test_rows=len(scores), file_rows=len(support.unlabelled))
    return scores if calibration.transductive else support.unlabelled

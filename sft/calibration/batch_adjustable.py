"""Adjustable batch calibration: "BCL" in Zhou et al. 2023, arXiv 2309.17249, section 3."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sft.calibration.base import Adjusted, Needs, Scores, Support, calibration_registry
from sft.calibration.batch import LEAST_ROWS, EstimateOn, rows_of_the_bias, unlabelled_file
from sft.label_scores import log_softmax

# 0 (no calibration) and 1 (batch calibration) are among them.
STRENGTHS = np.arange(-50, 51) / 10


@calibration_registry.register("batch_adjustable")
class AdjustableBatchCalibration:
    """Subtract `gamma` times the mean of the log-softmax scores.

    As in the paper, `gamma` is the value in [-5, 5] that gives the best accuracy on labelled rows; here the grid has
    steps of 0.1, the labelled rows are the shots (scored out of fold), and of equally good values the nearest to 1,
    which is batch calibration, is taken (the smaller of two). One bias is estimated, on the test rows (transductive) or
    on a file, as in batch calibration, and that same bias is subtracted from the shots when `gamma` is chosen.
    """

    def __init__(self, *, estimate_on: EstimateOn = "test", unlabelled_path: str | None = None) -> None:
        self.transductive = estimate_on == "test"
        file = unlabelled_file(estimate_on, unlabelled_path)
        self.needs = Needs(shots=True, unlabelled=file, least_rows=LEAST_ROWS)

    def adjust(self, scores: Scores, support: Support) -> Adjusted:
        bias: Scores = log_softmax(rows_of_the_bias(self, scores, support)).mean(axis=0)
        gamma = best_strength(support.shots, support.shot_labels, bias)
        return Adjusted(log_softmax(scores) - gamma * bias, {"gamma": gamma})


def best_strength(shots: Scores, labels: NDArray[np.int64], bias: Scores) -> float:
    """shots: [K, L]. labels: [K]. bias: [L]."""

    def hits(gamma: float) -> int:
        return int(((shots - gamma * bias).argmax(axis=1) == labels).sum())

    by_distance: list[float] = sorted(STRENGTHS.tolist(), key=lambda gamma: (round(abs(gamma - 1), 6), gamma))
    return max(by_distance, key=hits)  # the first of equals

"""Batch calibration (Zhou et al. 2023, arXiv 2309.17249)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sft.calibration.base import Adjusted, Needs, Scores, Support, calibration_registry
from sft.errors import SftError
from sft.inference.scores import log_softmax

EstimateOn = Literal["test", "unlabelled"]


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
        self.needs = Needs(unlabelled=unlabelled_file(estimate_on, unlabelled_path))

    def adjust(self, scores: Scores, support: Support) -> Adjusted:
        log_probs = log_softmax(several(scores, support, transductive=self.transductive))
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


def several(scores: Scores, support: Support, *, transductive: bool) -> Scores:
    """The rows on which the bias is estimated. Raises `SftError` for fewer than two, of which a mean says nothing."""
    rows = scores if transductive else support.unlabelled
    if len(rows) < 2:
        where = "test rows" if transductive else "rows of unlabelled_path"
        fix = "estimate_on: unlabelled" if transductive else "a file with more rows"
        raise SftError(
            f"batch calibration needs several rows to estimate the bias on, got {len(rows)} {where}",
            f"use another calibration, or {fix}",
        )
    return rows

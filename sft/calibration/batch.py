"""Batch calibration (Zhou et al. 2023, arXiv 2309.17249)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from sft.calibration.base import Scores, calibration_registry
from sft.errors import SftError
from sft.inference.scores import log_softmax


@calibration_registry.register("batch")
class BatchCalibration:
    """Remove the mean over all test inputs.

    space `log`: subtract the mean of the log-softmax scores; `probability`: divide by the mean probability.
    Transductive: the unlabelled test inputs are used together, and an imbalanced test set is pulled towards balance.
    """

    transductive = True

    def __init__(self, *, space: Literal["log", "probability"] = "log") -> None:
        if space not in ("log", "probability"):
            raise ValueError(f"space must be 'log' or 'probability', got {space!r}")
        self._space = space

    def content_free_inputs(self) -> Sequence[str]:
        return []

    def adjust(self, scores: Scores, content_free: Scores) -> Scores:
        if len(scores) < 2:
            raise SftError(
                "batch calibration needs several test rows, got 1", "use another calibration for single rows"
            )
        log_probs = log_softmax(scores)
        if self._space == "log":
            mean: Scores = log_probs.mean(axis=0)
        else:
            mean = np.logaddexp.reduce(log_probs, axis=0) - np.log(len(log_probs))
        return log_probs - mean

"""Contextual calibration (Zhao et al. 2021, arXiv 2102.09690)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sft.calibration.base import Scores, calibration_registry


@calibration_registry.register("contextual")
class ContextualCalibration:
    """Divide by what the model says of content-free inputs: `p(y|x) / p_cf(y)`, renormalised.

    `p_cf` is the normalised mean of the unnormalised label probabilities `exp S` of the content-free inputs. The paper
    reports `softmax(W p)`, which has the same argmax but distorts confidences.
    """

    transductive = False

    def __init__(self, *, content_free_inputs: Sequence[str] = ("N/A", "", "[MASK]")) -> None:
        is_list = isinstance(content_free_inputs, (list, tuple))
        if not is_list or not content_free_inputs or not all(isinstance(text, str) for text in content_free_inputs):
            raise ValueError(f"content_free_inputs must be a list of at least one text, got {content_free_inputs!r}")
        self._inputs = list(content_free_inputs)

    def content_free_inputs(self) -> Sequence[str]:
        return self._inputs

    def adjust(self, scores: Scores, content_free: Scores) -> Scores:
        # Normalising p_cf adds a constant to a row, which the softmax removes.
        prior: Scores = np.logaddexp.reduce(content_free, axis=0)
        return scores - prior

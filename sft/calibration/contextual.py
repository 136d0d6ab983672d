"""Contextual calibration (Zhao et al. 2021, arXiv 2102.09690)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from sft.calibration.base import CONTENT_FREE, Adjusted, Needs, Prior, Scores, Support, calibration_registry

_OF_THE_PAPER = list(CONTENT_FREE)


@calibration_registry.register("contextual")
class ContextualCalibration:
    """Divide by what the model says of content-free inputs: `p(y|x) / p_cf(y)`, renormalised.

    `p_cf` is the normalised mean of the unnormalised label probabilities `exp S` of the content-free inputs. The paper
    reports `softmax(W p)`, which has the same argmax but distorts confidences. prior `per_prompt`: every test row has a
    `p_cf` of its own, from its own in-context examples (`prompting.icl_sampling: per_prompt`).
    """

    transductive = False

    def __init__(
        self,
        *,
        content_free_inputs: Annotated[list[str], Field(min_length=1)] = _OF_THE_PAPER,
        prior: Prior = "shared",
    ) -> None:
        self.needs = Needs(content_free=tuple(content_free_inputs), per_prompt=prior == "per_prompt")

    def adjust(self, scores: Scores, support: Support) -> Adjusted:
        # Normalising p_cf adds a constant to a row, which the softmax removes.
        prior: Scores = np.logaddexp.reduce(support.content_free, axis=-2)
        return Adjusted(scores - prior, {})

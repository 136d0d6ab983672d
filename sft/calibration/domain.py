"""Domain-context calibration (Fei et al. 2023, arXiv 2305.19148)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from sft.calibration.base import Adjusted, Needs, Prior, Scores, Support, calibration_registry


@calibration_registry.register("domain")
class DomainContextCalibration:
    """Divide by what the model says of random words of the task: `p(y|x) / p_bar(y)`, renormalised.

    `p_bar` is the mean of the (normalised) label probabilities of `samples` pseudo-inputs; 20 in the paper. Unlike in
    the authors' code, words come from the training inputs and never from test rows, so the method isn't transductive;
    and every pseudo-input has one vote, where their code averages before it normalises. prior `per_prompt`: see
    contextual calibration; the pseudo-inputs are the same for all rows.
    """

    transductive = False

    def __init__(self, *, samples: Annotated[int, Field(gt=0)] = 20, prior: Prior = "shared") -> None:
        self.needs = Needs(random_words=samples, per_prompt=prior == "per_prompt")

    def adjust(self, scores: Scores, support: Support) -> Adjusted:
        log_probs = support.random_words - np.logaddexp.reduce(support.random_words, axis=-1, keepdims=True)
        # The sum serves as well as the mean: a constant on a row is removed by the softmax.
        prior: Scores = np.logaddexp.reduce(log_probs, axis=-2)
        return Adjusted(scores - prior, {})

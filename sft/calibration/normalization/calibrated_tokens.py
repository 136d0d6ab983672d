"""Normalized contextual calibration (Sanz-Guerrero and von der Wense 2025, arXiv 2511.14385)."""

from __future__ import annotations

import numpy as np

from sft.calibration.base import CONTENT_FREE, Needs, Scores
from sft.calibration.normalization.base import Reference, normalization_registry
from sft.label_scores import LabelScores


@normalization_registry.register("calibrated_tokens")
class CalibratedTokens:
    """The geometric mean of a label's token probabilities, divided by its mean over content-free inputs.

    Dividing by the length alone favours labels whose later tokens are easy to guess; the second step removes that.
    """

    needs = Needs(content_free=CONTENT_FREE)

    def normalize(self, scores: LabelScores, reference: Reference) -> Scores:
        content_free = reference.content_free.log_probs / reference.content_free.token_counts
        prior: Scores = np.logaddexp.reduce(content_free, axis=0) - np.log(len(content_free))
        return scores.log_probs / scores.token_counts - prior

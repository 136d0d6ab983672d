"""The sum of the token log-probabilities as it is: lm-eval's `acc`."""

from __future__ import annotations

from sft.calibration.base import Needs, Scores
from sft.calibration.normalization.base import Reference, normalization_registry
from sft.label_scores import LabelScores


@normalization_registry.register("none")
class Unnormalized:
    """`S(y|x)`."""

    needs = Needs()

    def normalize(self, scores: LabelScores, reference: Reference) -> Scores:
        return scores.log_probs

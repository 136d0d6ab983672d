"""Domain-conditional pointwise mutual information (Holtzman et al. 2021, arXiv 2104.08315)."""

from __future__ import annotations

from sft.calibration.base import Needs, Scores
from sft.calibration.normalization.base import Reference, normalization_registry
from sft.label_scores import LabelScores


@normalization_registry.register("pmi")
class MutualInformation:
    """`S(y|x) - S(y|x_domain)`: how much more likely the input makes a label than the premise alone does."""

    needs = Needs(premise=True)

    def normalize(self, scores: LabelScores, reference: Reference) -> Scores:
        prior: Scores = reference.premise.log_probs[0]
        return scores.log_probs - prior

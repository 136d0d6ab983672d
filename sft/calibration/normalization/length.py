"""Scores divided by a length of the label, so that long labels aren't at a disadvantage.

The length never counts the end-of-turn, whose log-probability the score may hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sft.calibration.base import Needs, Scores
from sft.calibration.normalization.base import Reference, normalization_registry
from sft.label_scores import LabelScores


@normalization_registry.register("tokens")
class PerToken:
    """By the label's tokens after that prompt."""

    needs = Needs()

    def normalize(self, scores: LabelScores, reference: Reference) -> Scores:
        return scores.log_probs / scores.token_counts


@normalization_registry.register("characters")
class PerCharacter:
    """By the characters of the verbalisation without the white space around it: lm-eval's `acc_norm`."""

    needs = Needs()

    def normalize(self, scores: LabelScores, reference: Reference) -> Scores:
        return _divided(scores, [len(text.strip()) for text in reference.verbalisations])


@normalization_registry.register("bytes")
class PerByte:
    """By the bytes of UTF-8 of the verbalisation without the white space around it: lm-eval's `acc_bytes`."""

    needs = Needs()

    def normalize(self, scores: LabelScores, reference: Reference) -> Scores:
        return _divided(scores, [len(text.strip().encode()) for text in reference.verbalisations])


def _divided(scores: LabelScores, lengths: Sequence[int]) -> Scores:
    """lengths: [L]."""
    return scores.log_probs / np.asarray(lengths, dtype=np.float64)

"""What a normalisation is: raw label scores → scores that a calibration, and then the softmax, take.

All scores of a run go through the same one: of test rows, and of whatever a calibration needs beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sft.calibration.base import Needs, Scores
from sft.label_scores import LabelScores
from sft.registry import Registry


@dataclass(frozen=True)
class Reference:
    """What a normalisation may compare scores with.

    verbalisations: [L] the labels' texts. premise: [1, L] and content_free: [M, L], raw scores, empty where they aren't
    among the normalisation's needs.
    """

    verbalisations: tuple[str, ...]
    premise: LabelScores
    content_free: LabelScores


class Normalization(Protocol):
    """Made without arguments. needs: what `reference` must hold, of all rows alike (never per prompt)."""

    @property
    def needs(self) -> Needs: ...

    def normalize(self, scores: LabelScores, reference: Reference) -> Scores:
        """scores: [..., L], with the token counts of each prompt's own labels, end-of-turn left out."""
        ...


normalization_registry: Registry[type] = Registry("score normalization")

"""What a model said of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sft.label_scores import LabelScores


class Supporting(Protocol):
    """Something that was scored beside the rows."""

    def as_item(self) -> dict[str, Any]:
        """For JSON."""
        ...


@dataclass(frozen=True)
class Answers:
    """What the model said of each row.

    texts: the predicted label's name ("" for an answer that names none), the names of all predicted labels, or the
    generated text. label_indices: [N] for classification; label_sets: [N, L] for multi-label, with log_odds [N, L] of
    yes. probabilities: [N, L] and scores, where labels were scored; support: what was scored beside the rows.
    generated: the raw text, where there is one. problems: for each answer, what is wrong with its form, None where
    nothing is; None altogether where answers have no form. report: how they were obtained, for the record.
    """

    texts: list[str]
    label_indices: NDArray[np.int64] | None = None
    label_sets: NDArray[np.bool_] | None = None
    log_odds: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float64] | None = None
    scores: LabelScores | None = None
    support: Sequence[Supporting] = field(default_factory=list)
    generated: list[str] | None = None
    problems: list[str | None] | None = None
    report: dict[str, Any] = field(default_factory=dict)

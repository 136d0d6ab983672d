"""What a model said of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.calibration.scored import ScoredInput
from sft.label_scores import LabelScores


@dataclass(frozen=True)
class Answers:
    """What the model said of each row.

    texts: the predicted label's name ("" for an answer that names none) or the generated text. label_indices: [N]
    for classification. probabilities: [N, L] and scores, where labels were scored; support: what was scored beside the
    rows. generated: the raw text, where there is one. problems: for each answer, what is wrong with its form, None
    where nothing is; None altogether where answers have no form. report: how they were obtained, for the record.
    """

    texts: list[str]
    label_indices: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float64] | None = None
    scores: LabelScores | None = None
    support: list[ScoredInput] = field(default_factory=list)
    generated: list[str] | None = None
    problems: list[str | None] | None = None
    report: dict[str, Any] = field(default_factory=dict)

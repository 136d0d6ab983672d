"""F1 of the words that prediction and reference share, as SQuAD counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.extraction import AnswerPattern, compared_texts
from sft.evaluation.metrics.base import metric
from sft.evaluation.metrics.squad_text import squad_words
from sft.evaluation.outcome import GenerationOutcome
from sft.evaluation.row_sums import mean_over_rows, whole


def _of_rows(outcome: GenerationOutcome, *, answer_pattern: str | None = None) -> NDArray[np.float64]:
    pairs = zip(outcome.predictions, outcome.references, strict=True)
    scores = [_best(*compared_texts(prediction, references, answer_pattern)) for prediction, references in pairs]
    return np.array(scores, dtype=np.float64)[:, None]


def _best(prediction: str | None, references: Sequence[str]) -> float:
    if prediction is None:
        return 0.0
    return max(_f1(squad_words(prediction), squad_words(reference)) for reference in references)


_FORM = mean_over_rows("token_f1", _of_rows)


@metric("token_f1", task_type="generation", default=True, row_sums=_FORM)
def token_f1(outcome: GenerationOutcome, *, answer_pattern: AnswerPattern | None = None) -> dict[str, Any]:
    """F1 of the bags of words, from 0 to 1: the best over a row's references, mean over rows.

    Words are those of `squad_words`. Where prediction or reference has none, the score is 1 if both have none, else 0
    (the rule of SQuAD 2.0). Rajpurkar et al. 2016. answer_pattern: as for `exact_match`; a text without a match
    scores 0.
    """
    return whole(_FORM, outcome, answer_pattern=answer_pattern)


def _f1(prediction: Sequence[str], reference: Sequence[str]) -> float:
    if not prediction or not reference:
        return float(prediction == reference)
    shared = (Counter(prediction) & Counter(reference)).total()
    return 2 * shared / (len(prediction) + len(reference))

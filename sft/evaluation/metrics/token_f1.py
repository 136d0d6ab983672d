"""F1 of the words that prediction and reference share, as SQuAD counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sft.evaluation.metrics.base import metric
from sft.evaluation.metrics.squad_text import squad_words
from sft.evaluation.outcome import GenerationOutcome


@metric("token_f1", task_type="generation", default=True)
def token_f1(outcome: GenerationOutcome) -> dict[str, Any]:
    """F1 of the bags of words, from 0 to 1: the best over a row's references, mean over rows.

    Words are those of `squad_words`. Where prediction or reference has none, the score is 1 if both have none, else 0
    (the rule of SQuAD 2.0). Rajpurkar et al. 2016.
    """
    scores = [
        max(_f1(squad_words(prediction), squad_words(reference)) for reference in references)
        for prediction, references in zip(outcome.predictions, outcome.references, strict=True)
    ]
    return {"token_f1": sum(scores) / len(scores)}


def _f1(prediction: Sequence[str], reference: Sequence[str]) -> float:
    if not prediction or not reference:
        return float(prediction == reference)
    shared = (Counter(prediction) & Counter(reference)).total()
    return 2 * shared / (len(prediction) + len(reference))

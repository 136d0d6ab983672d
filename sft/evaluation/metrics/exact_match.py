"""Exact match, as SQuAD counts it."""

from __future__ import annotations

from typing import Any

from sft.evaluation.metrics.base import metric
from sft.evaluation.metrics.squad_text import squad_words
from sft.evaluation.outcome import GenerationOutcome


@metric("exact_match", task_type="generation", default=True)
def exact_match(outcome: GenerationOutcome) -> dict[str, Any]:
    """The share of rows, from 0 to 1, that equal one of their references after SQuAD's normalisation.

    See `squad_words` for what is ignored and for languages other than English. Rajpurkar et al. 2016.
    """
    hits = [
        any(squad_words(prediction) == squad_words(reference) for reference in references)
        for prediction, references in zip(outcome.predictions, outcome.references, strict=True)
    ]
    return {"exact_match": sum(hits) / len(hits)}

"""Exact match, as SQuAD counts it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.metrics.base import metric
from sft.evaluation.metrics.squad_text import squad_words
from sft.evaluation.outcome import GenerationOutcome
from sft.evaluation.row_sums import mean_over_rows, whole


def _of_rows(outcome: GenerationOutcome) -> NDArray[np.float64]:
    hits = [
        any(squad_words(prediction) == squad_words(reference) for reference in references)
        for prediction, references in zip(outcome.predictions, outcome.references, strict=True)
    ]
    return np.array(hits, dtype=np.float64)[:, None]


_FORM = mean_over_rows("exact_match", _of_rows)


@metric("exact_match", task_type="generation", default=True, row_sums=_FORM)
def exact_match(outcome: GenerationOutcome) -> dict[str, Any]:
    """The share of rows, from 0 to 1, that equal one of their references after SQuAD's normalisation.

    See `squad_words` for what is ignored and for languages other than English. Rajpurkar et al. 2016.
    """
    return whole(_FORM, outcome)

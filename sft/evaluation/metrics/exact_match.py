"""Exact match, as SQuAD counts it."""

from __future__ import annotations

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
    hits = [_is_hit(*compared_texts(prediction, references, answer_pattern)) for prediction, references in pairs]
    return np.array(hits, dtype=np.float64)[:, None]


def _is_hit(prediction: str | None, references: list[str]) -> bool:
    return prediction is not None and any(squad_words(prediction) == squad_words(one) for one in references)


_FORM = mean_over_rows("exact_match", _of_rows)


@metric("exact_match", task_type="generation", default=True, row_sums=_FORM)
def exact_match(outcome: GenerationOutcome, *, answer_pattern: AnswerPattern | None = None) -> dict[str, Any]:
    """The share of rows, from 0 to 1, that equal one of their references after SQuAD's normalisation.

    See `squad_words` for what is ignored and for languages other than English. Rajpurkar et al. 2016. answer_pattern:
    a regular expression; what it finds in text and reference is compared, see `extracted`; a text without a match is
    wrong.
    """
    return whole(_FORM, outcome, answer_pattern=answer_pattern)

"""How often a generated text holds no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.extraction import AnswerPattern, extracted
from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import GenerationOutcome
from sft.evaluation.row_sums import mean_over_rows, whole


def _of_rows(outcome: GenerationOutcome, *, answer_pattern: str | None = None) -> NDArray[np.float64] | None:
    if answer_pattern is None:
        return None
    missing = [extracted(text, answer_pattern) is None for text in outcome.predictions]
    return np.array(missing, dtype=np.float64)[:, None]


_FORM = mean_over_rows("no_answer_rate", _of_rows)


@metric("no_answer", task_type="generation", default=True, row_sums=_FORM, lower_is_better=True)
def no_answer(outcome: GenerationOutcome, *, answer_pattern: AnswerPattern | None = None) -> dict[str, Any]:
    """`no_answer_rate`: the share of rows in whose text `answer_pattern` matches nowhere; nothing without a pattern."""
    return whole(_FORM, outcome, answer_pattern=answer_pattern)

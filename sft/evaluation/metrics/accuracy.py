"""How often the chosen answer is the right one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import ChosenOutcome
from sft.evaluation.row_sums import mean_over_rows, whole


def _of_rows(outcome: ChosenOutcome) -> NDArray[np.float64]:
    of_rows: NDArray[np.float64] = np.equal(outcome.predictions, outcome.references).astype(np.float64)[:, None]
    return of_rows


_FORM = mean_over_rows("accuracy", _of_rows)


@metric("accuracy", task_type=("classification", "multiple_choice"), default=True, row_sums=_FORM)
def accuracy(outcome: ChosenOutcome) -> dict[str, Any]:
    """The share of rows whose prediction is the reference."""
    return whole(_FORM, outcome)

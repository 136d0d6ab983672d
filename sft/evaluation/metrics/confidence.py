"""Metrics of the probabilities of labels or candidates: how far a run's confidence can be believed.

All return nothing for runs without probabilities (classification by generation).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import ChosenOutcome
from sft.evaluation.row_sums import mean_over_rows, whole


@metric("ece", task_type=("classification", "multiple_choice"), default=True, lower_is_better=True)
def ece(outcome: ChosenOutcome, *, bins: Annotated[int, Field(gt=0)] = 15) -> dict[str, Any]:
    """Expected calibration error: mean distance of confidence and accuracy (L1), in equal-width bins (Guo et al. 2017).

    A row's confidence is its largest probability. Bin b of B holds the confidences in ((b-1)/B, b/B], as in the paper;
    the first one holds 0 too. `reliability` is the table behind the number, one entry per bin from low to high:
    `lower`, `upper`, `count`, and mean `confidence` and `accuracy`, which are None in an empty bin.
    """
    if outcome.probabilities is None:
        return {}
    confidence = outcome.probabilities.max(axis=1)
    correct = outcome.predictions == outcome.references
    edges = np.arange(bins + 1) / bins
    bin_of_row = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    table, gap = [], 0.0
    for b in range(bins):
        inside = bin_of_row == b
        row: dict[str, Any] = {"lower": float(edges[b]), "upper": float(edges[b + 1]), "count": int(inside.sum())}
        row["confidence"] = float(confidence[inside].mean()) if row["count"] else None
        row["accuracy"] = float(correct[inside].mean()) if row["count"] else None
        table.append(row)
        gap += row["count"] * abs(row["confidence"] - row["accuracy"]) if row["count"] else 0.0
    return {"ece": gap / len(confidence), "reliability": table}


def _brier_of_rows(outcome: ChosenOutcome) -> NDArray[np.float64] | None:
    if outcome.probabilities is None:
        return None
    one_hot = np.eye(outcome.probabilities.shape[1])[outcome.references]
    of_rows: NDArray[np.float64] = np.square(outcome.probabilities - one_hot).sum(axis=1, keepdims=True)
    return of_rows


_BRIER = mean_over_rows("brier", _brier_of_rows)


@metric("brier", task_type=("classification", "multiple_choice"), default=True, row_sums=_BRIER, lower_is_better=True)
def brier(outcome: ChosenOutcome) -> dict[str, Any]:
    """Brier score: squared distance of the probabilities from the reference's one-hot vector, mean over rows.

    The squares are summed over the labels, as Brier (1950) has it, so it runs from 0 to 2; with two labels it is twice
    the usual one-label form.
    """
    return whole(_BRIER, outcome)


def _nll_of_rows(outcome: ChosenOutcome) -> NDArray[np.float64] | None:
    if outcome.probabilities is None:
        return None
    of_reference = outcome.probabilities[np.arange(len(outcome.references)), outcome.references]
    of_rows: NDArray[np.float64] = -np.log(np.maximum(of_reference, np.finfo(np.float64).tiny))[:, None]
    return of_rows


_NLL = mean_over_rows("nll", _nll_of_rows)


@metric("nll", task_type=("classification", "multiple_choice"), default=True, row_sums=_NLL, lower_is_better=True)
def nll(outcome: ChosenOutcome) -> dict[str, Any]:
    """Negative log-likelihood of the references in nats, mean over rows.

    A probability below the smallest normal float64 (2.2e-308) is raised to it, so one row adds 708.4 at most and the
    result is finite.
    """
    return whole(_NLL, outcome)

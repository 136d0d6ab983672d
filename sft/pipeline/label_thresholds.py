"""The thresholds of a multi-label run, and how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.data.example import LabelSet
from sft.errors import SftError
from sft.evaluation.thresholds import best_thresholds, logit, sigmoid
from sft.pipeline.question_scoring import AskedShot
from sft.registry import unknown_name_fix

_DEFAULT = 0.5


class Thresholds(NamedTuple):
    """log_odds: [L], from which on a row has the label. report: for the record, as probabilities."""

    log_odds: NDArray[np.float64]
    report: dict[str, Any]


def choose_thresholds(given: Any, labels: LabelSet, shots: Sequence[AskedShot]) -> Thresholds:
    """given: `inference.thresholds`. shots: what `auto` learns from; without any, it is 0.5.

    Raises `SftError` for names that aren't labels.
    """
    if given == "auto":
        log_odds = np.array([shot.log_odds for shot in shots]).reshape(len(shots), len(labels))
        has_label = np.array([[name in shot.reference for name in labels.names] for shot in shots], dtype=bool)
        chosen = best_thresholds(log_odds, has_label.reshape(log_odds.shape))
        report: dict[str, Any] = {"chosen": "best F1 of shots" if shots else "default", "shots": len(shots)}
    else:
        by_name = given if isinstance(given, Mapping) else dict.fromkeys(labels.names, given)
        for name in by_name.keys() - set(labels.names):
            what = f"inference.thresholds names {name!r}, which is not among the labels"
            raise SftError(what, unknown_name_fix(name, labels.names))
        chosen = np.array([logit(by_name.get(name, _DEFAULT)) for name in labels.names])
        report = {"chosen": "by the config", "shots": 0}
    values = dict(zip(labels.names, sigmoid(chosen).tolist(), strict=True))
    return Thresholds(chosen, {**report, "probabilities": values})

"""From which log-odds on a row has a label."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def best_threshold(log_odds: NDArray[np.float64], has_label: NDArray[np.bool_]) -> float:
    """The log-odds from which on "yes" gives the best F1 on these rows. Both are [N].

    Of equally good thresholds, the one nearest to 0 (a probability of 0.5), and of two such the higher. Between two
    rows it is the middle; a threshold below all rows is 0, or the lowest row where that is lower. 0 where nothing can
    be learnt: fewer than two rows with the label (held out, the only one is unlike all others), or none without.
    """
    if not 2 <= has_label.sum() < len(has_label):
        return 0.0
    values, place = np.unique(log_odds, return_inverse=True)
    hits = _at_least(np.bincount(place, weights=has_label))
    predicted = _at_least(np.bincount(place))
    f1 = 2 * hits / (predicted + has_label.sum())
    thresholds = values.astype(np.float64)
    thresholds[0] = min(0.0, values[0])
    thresholds[1:] = (values[:-1] + values[1:]) / 2
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(min((thresholds[i] for i in best), key=lambda t: (abs(t), -t)))


def best_thresholds(log_odds: NDArray[np.float64], has_label: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[L], one for each label; log_odds, has_label: [N, L]."""
    columns = range(log_odds.shape[1])
    return np.array([best_threshold(log_odds[:, i], has_label[:, i]) for i in columns], dtype=np.float64)


def sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities, without overflow."""
    small = np.exp(-np.abs(log_odds))
    result: NDArray[np.float64] = np.where(log_odds >= 0, 1.0, small) / (1.0 + small)
    return result


def logit(probability: float) -> float:
    """Log-odds; minus and plus infinity for 0 and 1."""
    with np.errstate(divide="ignore"):
        return float(np.log(probability) - np.log1p(-probability))


def _at_least(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Of counts by value, ascending: how many rows have at least that value."""
    result: NDArray[np.float64] = counts[::-1].cumsum()[::-1]
    return result

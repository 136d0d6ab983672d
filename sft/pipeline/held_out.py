"""How well a model that was trained on some of the shots answers the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.data.example import Example
from sft.label_scores import RowScores, log_softmax, stacked
from sft.pipeline.answer import Answerer
from sft.pipeline.folds import TrainedOnRest
from sft.pipeline.question_scoring import ask_shots


class Criterion(NamedTuple):
    """score: of raw label scores [N, L] and the right labels [N], indices."""

    score: Callable[[NDArray[np.float64], NDArray[np.int64]], float]
    higher_is_better: bool


def _negative_log_likelihood(log_probs: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return float(-log_softmax(log_probs)[np.arange(len(labels)), labels].mean())


def _accuracy(log_probs: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return float((log_probs.argmax(axis=1) == labels).mean())


# The names that `training.select.metric` takes.
CRITERIA = {"nll": Criterion(_negative_log_likelihood, False), "accuracy": Criterion(_accuracy, True)}


def held_out_score(trained: TrainedOnRest, held_out: list[Example], metric: str) -> float:
    """The criterion on rows that the model wasn't trained on, after in-context examples of the rest of the pool.

    Classification and multiple choice: of the scores as the model gives them, neither normalised nor calibrated,
    whichever way the run answers. Multi-label: the negative log-likelihood of the right answer about a label, mean over
    rows and labels. Else: that of the references, per token (with the end of the turn). In nats.
    """
    answerer = Answerer(trained.rest, trained.loaded)
    if trained.rest.config.asks_about_labels:
        log_odds = np.array([one.log_odds for one in ask_shots(answerer, held_out)])
        has_label = np.array([[shot.has(i) for i in range(log_odds.shape[1])] for shot in held_out])
        return float(np.logaddexp(0.0, np.where(has_label, -log_odds, log_odds)).mean())
    if held_out[0].label is None:
        scores = answerer.score_references(held_out)
        return float(-scores.log_probs.sum() / (scores.token_counts + 1).sum())
    scored = stacked([RowScores(one.log_probs, one.token_counts) for one in answerer.label_scores(held_out)])
    return CRITERIA[metric].score(scored.log_probs, np.array([shot.label for shot in held_out], dtype=np.int64))

"""What the same labelled rows are worth without a language model, where rows have any number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.baselines import tfidf_features
from sft.evaluation.metrics.multilabel import jaccard, lrap, multilabel_f1, subset_accuracy
from sft.evaluation.outcome import MultilabelOutcome
from sft.evaluation.thresholds import best_thresholds

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def multilabel_baselines(
    train_texts: Sequence[str],
    train_labels: Bools,
    folds: Sequence[int],
    test_texts: Sequence[str],
    test_labels: Bools,
    labels: tuple[str, ...],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """The metrics of baselines that see a run's shots and answer its test rows.

    train_labels, test_labels: [N, L]. folds: the fold of each training row, for the regression's thresholds. Keys:
    `majority` (the label that most shots have, for every row), `every_label` (all labels for every row), and
    `tfidf_logistic_regression`, which is absent where no text of the shots has a single character; its `predictions`
    are there too, the indices of each row's labels.
    """
    baselines = {
        "majority": _majority(train_labels, test_labels, labels),
        "every_label": _scores(MultilabelOutcome(labels, test_labels, np.ones_like(test_labels))),
    }
    if len(train_texts) and tfidf_features(train_texts) is not None:
        log_odds = _one_versus_rest(train_texts, train_labels, test_texts, seed)
        thresholds = _thresholds(train_texts, train_labels, folds, seed)
        outcome = MultilabelOutcome(labels, test_labels, log_odds >= thresholds, log_odds)
        predictions = [np.flatnonzero(row).tolist() for row in outcome.predictions]
        baselines["tfidf_logistic_regression"] = {**_scores(outcome), "predictions": predictions}
    return baselines


def _majority(train_labels: Bools, test_labels: Bools, labels: tuple[str, ...]) -> dict[str, Any]:
    """Of labels that equally many shots have, the mean over them."""
    counts = train_labels.sum(axis=0) if len(train_labels) else np.zeros(len(labels))
    scores = []
    for label in np.flatnonzero(counts == counts.max()):
        predictions = np.zeros_like(test_labels)
        predictions[:, label] = True
        scores.append(_scores(MultilabelOutcome(labels, test_labels, predictions)))
    return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}


def _thresholds(texts: Sequence[str], has_label: Bools, folds: Sequence[int], seed: int) -> Floats:
    """Of each label, by the rule of runs, on what regressions trained without a fold say of it."""
    if len(set(folds)) < 2:
        return np.zeros(has_label.shape[1])
    log_odds = np.empty(has_label.shape)
    for fold in set(folds):
        held_out = np.array([number == fold for number in folds])
        rest = [text for text, out in zip(texts, held_out, strict=True) if not out]
        asked = [text for text, out in zip(texts, held_out, strict=True) if out]
        log_odds[held_out] = _one_versus_rest(rest, has_label[~held_out], asked, seed)
    return best_thresholds(log_odds, has_label)


def _one_versus_rest(texts: Sequence[str], has_label: Bools, asked: Sequence[str], seed: int) -> Floats:
    """[asked, L]. Rows with and without a label weigh the same; one that no text has is unlikely, one that all have
    likely.
    """
    from sklearn.linear_model import LogisticRegression

    features = tfidf_features(texts)
    log_odds = np.tile(np.where(has_label.all(axis=0), 1.0, -1.0), (len(asked), 1))
    if features is None:
        return log_odds
    known, unknown = features.fit_transform(texts), features.transform(asked)
    for label in range(has_label.shape[1]):
        if 0 < has_label[:, label].sum() < len(texts):
            model = LogisticRegression(max_iter=10_000, random_state=seed, class_weight="balanced", solver="liblinear")
            log_odds[:, label] = model.fit(known, has_label[:, label]).decision_function(unknown)
    return log_odds


def _scores(outcome: MultilabelOutcome) -> dict[str, Any]:
    return {**subset_accuracy(outcome), **multilabel_f1(outcome), **jaccard(outcome), **lrap(outcome)}

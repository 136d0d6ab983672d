"""Baselines of multi-label runs against hand-computed values and another fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sft.evaluation.baselines import tfidf_features
from sft.evaluation.multilabel_baselines import multilabel_baselines
from sft.evaluation.thresholds import best_threshold

LABELS = ("weather", "food", "sport")
HAS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
TEXTS = ["rain and snow", "rain on the bread", "tasty bread", "bread and soup", "snow again", "nothing to say"]
FOLDS = [0, 1, 0, 1, 0, 1]
TEST_TEXTS, TEST_HAS = ["more rain", "soup"], np.array([[1, 0, 0], [0, 1, 1]], dtype=bool)


def baselines(texts: list[str] = TEXTS, has: np.ndarray = HAS, folds: list[int] = FOLDS) -> dict[str, dict[str, float]]:
    return multilabel_baselines(texts, has, folds, TEST_TEXTS, TEST_HAS, LABELS, 0)


def test_majority_is_the_mean_over_the_labels_that_most_shots_have() -> None:
    """Weather and food have three shots each. For every row weather: one of two rows right, one hit of 2 + 3."""
    scores = baselines()["majority"]
    assert scores["subset_accuracy"] == pytest.approx((0.5 + 0.0) / 2)
    assert scores["micro_f1"] == pytest.approx((2 / 5 + 2 / 5) / 2)


def test_every_label_is_the_floor_that_any_threshold_reaches() -> None:
    assert baselines()["every_label"]["micro_f1"] == pytest.approx(2 * 3 / (6 + 3))


def test_the_regression_is_one_per_label_with_thresholds_from_folds_it_has_not_seen() -> None:
    found = baselines()["tfidf_logistic_regression"]

    def log_odds(label: int, train: list[int], asked: list[str]) -> np.ndarray:
        features = tfidf_features([TEXTS[i] for i in train])
        known = features.fit_transform([TEXTS[i] for i in train])
        model = LogisticRegression(class_weight="balanced", solver="liblinear", random_state=0)
        return np.asarray(model.fit(known, HAS[train, label]).decision_function(features.transform(asked)))

    expected: list[list[int]] = [[], []]
    for label in (0, 1):
        held_out = np.empty(6)
        for fold in (0, 1):
            out = [i for i in range(6) if FOLDS[i] == fold]
            held_out[out] = log_odds(label, [i for i in range(6) if FOLDS[i] != fold], [TEXTS[i] for i in out])
        threshold = best_threshold(held_out, HAS[:, label])
        for row, value in enumerate(log_odds(label, list(range(6)), TEST_TEXTS)):
            expected[row] += [label] if value >= threshold else []
    assert found["predictions"] == expected, "no shot has the third label: it is never predicted"
    assert "lrap" in found


def test_baselines_are_plain_values_and_there_without_shots() -> None:
    json.dumps(baselines())
    none = baselines([], np.empty((0, 3), dtype=bool), [])
    assert sorted(none) == ["every_label", "majority"]
    assert none["majority"]["micro_f1"] == pytest.approx(2 / 5)

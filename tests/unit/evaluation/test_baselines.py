"""Baselines on the shots of a run against hand-computed values and a second fit."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from sft.evaluation.baselines import classification_baselines

LABELS = ("weather", "food", "sport")
SHOTS = (
    [
        "rain and snow tomorrow",
        "sunny with clouds",
        "bread and soup",
        "fresh tasty bread",
        "they won the match",
        "a goal",
    ],
    [0, 0, 1, 1, 2, 2],
)
TEST = (["more rain tomorrow", "tasty soup", "the match was won", "clouds"], [0, 1, 2, 0])


def baselines_of(
    train: tuple[Sequence[str], Sequence[int]], test: tuple[Sequence[str], Sequence[int]] = TEST, seed: int = 0
) -> dict[str, dict[str, Any]]:
    return classification_baselines(*train, *test, LABELS, seed)


def test_majority_answers_the_label_with_most_shots() -> None:
    scores = baselines_of((["x", "y", "z"], [2, 0, 0]))["majority"]
    assert scores["accuracy"] == 2 / 4
    assert scores["balanced_accuracy"] == pytest.approx(1 / 3)
    assert scores["macro_f1"] == pytest.approx((2 * 2 / (4 + 2)) / 3)


def test_a_tie_of_the_majority_is_the_mean_over_the_tied_labels() -> None:
    scores = baselines_of((["x", "y"], [0, 1]))["majority"]
    assert scores["accuracy"] == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert scores["balanced_accuracy"] == pytest.approx(1 / 3)
    assert scores["macro_f1"] == pytest.approx((2 * 2 / (4 + 2) / 3 + 2 * 1 / (4 + 1) / 3) / 2)


def test_without_shots_all_labels_tie_and_nothing_can_be_learnt() -> None:
    baselines = baselines_of(([], []))
    assert set(baselines) == {"majority"}
    assert baselines["majority"]["accuracy"] == pytest.approx(1 / 3)


@settings(deadline=None)  # the first example waits for scikit-learn
@given(st.lists(st.integers(0, 2), max_size=8), st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_majority_equals_scikit_learns_scores_averaged_over_the_most_frequent_labels(
    shots: list[int], references: list[int]
) -> None:
    tied = [label for label in range(3) if shots.count(label) == max(shots.count(other) for other in range(3))]
    scores = baselines_of(([""] * len(shots), shots), (["x"] * len(references), references))["majority"]
    guesses = [[label] * len(references) for label in tied]
    accuracies = [accuracy_score(references, guess) for guess in guesses]
    f1 = [f1_score(references, guess, labels=range(3), average="macro", zero_division=0) for guess in guesses]
    assert scores["accuracy"] == pytest.approx(np.mean(accuracies))
    assert scores["macro_f1"] == pytest.approx(np.mean(f1))


def test_words_of_the_shots_decide_the_regression() -> None:
    scores = baselines_of(SHOTS)["tfidf_logistic_regression"]
    assert scores == {"accuracy": 1.0, "balanced_accuracy": 1.0, "macro_f1": 1.0, "predictions": TEST[1]}


def test_the_regression_gets_its_test_labels_only_to_be_judged() -> None:
    rotated = [(label + 1) % 3 for label in TEST[1]]
    scores = baselines_of(SHOTS, (TEST[0], rotated))["tfidf_logistic_regression"]
    assert scores == {"accuracy": 0.0, "balanced_accuracy": 0.0, "macro_f1": 0.0, "predictions": TEST[1]}


@pytest.mark.parametrize(
    ("shots", "test"),
    [
        (["今天天气很好", "天气预报说下雨", "比赛很精彩", "他赢了比赛"], ["明天天气好吗", "比赛结束了"]),
        (["สภาพอากาศวันนี้", "อากาศดีมาก", "การแข่งขันสนุก", "ชนะการแข่งขัน"], ["พยากรณ์อากาศ", "ผลการแข่งขัน"]),
        (["😀😀", "😀🙂", "😡😡", "😡👎"], ["🙂😀", "👎"]),  # no words at all
    ],
    ids=["Chinese", "Thai", "emoji"],
)
def test_characters_decide_where_no_words_are_shared(shots: list[str], test: list[str]) -> None:
    baselines = baselines_of((shots, [0, 0, 2, 2]), (test, [0, 2]))
    assert baselines["tfidf_logistic_regression"]["accuracy"] == 1.0


@pytest.mark.parametrize(
    "train", [(["rain"], [0]), (["rain", "snow"], [0, 0]), (["", " "], [0, 1])], ids=["one shot", "one label", "empty"]
)
def test_the_regression_is_absent_where_there_is_nothing_to_learn(train: tuple[list[str], list[int]]) -> None:
    assert set(baselines_of(train)) == {"majority"}


def test_a_label_without_shots_can_occur_in_the_test_rows() -> None:
    baselines = baselines_of((SHOTS[0][:4], SHOTS[1][:4]))
    assert baselines["tfidf_logistic_regression"]["balanced_accuracy"] == pytest.approx(2 / 3)


def test_one_shot_for_each_of_many_labels_draws_no_warning() -> None:
    labels = tuple(f"label {i}" for i in range(30))  # scikit-learn suspects a regression from 21 on
    texts = [f"{a}{b}" for a, b in itertools.product("abcdef", "vwxyz")]
    scores = classification_baselines(texts, range(30), texts, range(30), labels, seed=0)
    assert scores["tfidf_logistic_regression"]["accuracy"] == 1.0


def test_both_are_plain_values_and_the_same_twice_and_for_every_seed() -> None:
    first = baselines_of(SHOTS, seed=0)
    assert json.loads(json.dumps(first)) == first
    predictions = first["tfidf_logistic_regression"].pop("predictions")
    assert all(type(value) is int for value in predictions)
    assert all(type(value) is float for scores in first.values() for value in scores.values())
    first["tfidf_logistic_regression"]["predictions"] = predictions
    assert baselines_of(SHOTS, seed=0) == first
    assert baselines_of(SHOTS, seed=1)["majority"] == first["majority"]

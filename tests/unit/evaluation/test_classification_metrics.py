"""Metrics of predicted labels against hand-computed values and scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, matthews_corrcoef, precision_recall_fscore_support

from sft.evaluation.metrics import compute_metrics
from sft.evaluation.outcome import ClassificationOutcome

SCALARS = ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "weighted_f1", "mcc")


def outcome_of(references: Sequence[int], predictions: Sequence[int], n_labels: int = 3) -> ClassificationOutcome:
    labels = tuple(f"label {i}" for i in range(n_labels))
    return ClassificationOutcome(labels, np.array(references, dtype=np.int64), np.array(predictions, dtype=np.int64))


def results_of(references: Sequence[int], predictions: Sequence[int], n_labels: int = 3) -> dict[str, Any]:
    return compute_metrics(outcome_of(references, predictions, n_labels), None, {})


@st.composite
def outcomes(draw: st.DrawFn, lowest_prediction: int = -1) -> ClassificationOutcome:
    n_labels = draw(st.integers(1, 5))
    row = st.tuples(st.integers(0, n_labels - 1), st.integers(lowest_prediction, n_labels - 1))
    rows = draw(st.lists(row, min_size=1, max_size=30))
    return outcome_of([reference for reference, _ in rows], [prediction for _, prediction in rows], n_labels)


def test_every_metric_has_its_hand_computed_value_with_an_invalid_answer_among_the_rows() -> None:
    # by reference:  0 → 0, 0, 1    1 → 1, invalid    2 → 0
    results = results_of([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, -1, 0])
    assert results["accuracy"] == 3 / 6
    assert results["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert results["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert results["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 * 1 / 2 + 1 * 0) / 6)
    assert results["micro_f1"] == pytest.approx(2 * (3 / 5) * (3 / 6) / (3 / 5 + 3 / 6))  # 5 answers name a label
    # R_K = (c*s - sum t*p) / sqrt((s^2 - sum p^2) (s^2 - sum t^2)), t = 3 2 1 0, p = 3 2 0 1
    assert results["mcc"] == pytest.approx((3 * 6 - (9 + 4)) / 22)
    assert results["confusion_matrix"] == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert results["invalid_rate"] == pytest.approx(1 / 6)
    assert results["per_class"][0] == {
        "label": "label 0",
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "support": 3,
    }
    assert results["per_class"][1] == {"label": "label 1", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert results["per_class"][2] == {"label": "label 2", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


@given(outcomes())
def test_results_equal_those_of_scikit_learn(outcome: ClassificationOutcome) -> None:
    results = compute_metrics(outcome, None, {})
    truth, guess, labels = outcome.references, outcome.predictions, range(len(outcome.labels))
    precision, recall, f1, support = precision_recall_fscore_support(truth, guess, labels=labels, zero_division=0)
    for i, row in enumerate(results["per_class"]):
        assert row["precision"] == pytest.approx(precision[i])
        assert row["recall"] == pytest.approx(recall[i])
        assert row["f1"] == pytest.approx(f1[i])
        assert row["support"] == support[i]
    for average in ("macro", "micro", "weighted"):
        expected = f1_score(truth, guess, labels=labels, average=average, zero_division=0)
        assert results[f"{average}_f1"] == pytest.approx(expected)
    with warnings.catch_warnings():
        # scikit-learn warns where truth and guess hold one and the same label; the value is what is compared
        warnings.filterwarnings("ignore", message="A single label was found")
        assert results["confusion_matrix"] == confusion_matrix(truth, guess, labels=labels).tolist()
        assert results["mcc"] == pytest.approx(matthews_corrcoef(truth, guess))


@given(outcomes())
def test_balanced_accuracy_is_the_mean_share_of_hits_over_the_labels_that_occur(outcome: ClassificationOutcome) -> None:
    pairs = list(zip(outcome.references.tolist(), outcome.predictions.tolist(), strict=True))
    recalls = []
    for label in {reference for reference, _ in pairs}:
        answers = [prediction for reference, prediction in pairs if reference == label]
        recalls.append(answers.count(label) / len(answers))
    expected = sum(recalls) / len(recalls)
    assert compute_metrics(outcome, ["balanced_accuracy"], {})["balanced_accuracy"] == pytest.approx(expected)


def test_a_label_without_references_lowers_macro_f1_but_not_balanced_accuracy() -> None:
    results = results_of([0, 1], [0, 1], n_labels=4)
    assert results["balanced_accuracy"] == 1.0
    assert results["macro_f1"] == 0.5
    assert results["weighted_f1"] == 1.0
    assert results["per_class"][3] == {"label": "label 3", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


@pytest.mark.parametrize("prediction", [0, 1, -1])
def test_a_single_row_is_right_or_wrong(prediction: int) -> None:
    results = results_of([0], [prediction], n_labels=2)
    right = float(prediction == 0)
    assert results["accuracy"] == results["balanced_accuracy"] == results["micro_f1"] == right
    assert results["weighted_f1"] == right
    assert results["macro_f1"] == right / 2
    assert results["mcc"] == 0.0


def test_answers_that_are_all_invalid_score_nothing() -> None:
    results = results_of([0, 1, 2, 2], [-1] * 4)
    assert [results[name] for name in SCALARS] == [0.0] * len(SCALARS)
    assert results["confusion_matrix"] == [[0] * 3] * 3
    assert results["invalid_rate"] == 1.0


@given(outcomes(), st.integers(0, 29))
def test_an_invalid_answer_is_no_better_than_a_wrong_one(outcome: ClassificationOutcome, row: int) -> None:
    row %= len(outcome.references)
    invalid = outcome.predictions.copy()
    invalid[row] = -1
    before = compute_metrics(outcome, None, {})
    after = compute_metrics(ClassificationOutcome(outcome.labels, outcome.references, invalid), None, {})
    assert after["accuracy"] <= before["accuracy"]
    assert after["balanced_accuracy"] <= before["balanced_accuracy"]


@given(outcomes(lowest_prediction=0))
def test_micro_f1_is_accuracy_where_no_answer_is_invalid(outcome: ClassificationOutcome) -> None:
    results = compute_metrics(outcome, None, {})
    assert results["micro_f1"] == pytest.approx(results["accuracy"])


@given(outcomes(), st.randoms())
def test_the_order_of_rows_and_labels_changes_no_score(outcome: ClassificationOutcome, random: Any) -> None:
    rows, labels = list(range(len(outcome.references))), list(range(len(outcome.labels)))
    random.shuffle(rows)
    random.shuffle(labels)
    renamed = np.array([*labels, -1])  # index -1 keeps invalid answers invalid
    shuffled = ClassificationOutcome(
        outcome.labels, renamed[outcome.references[rows]], renamed[outcome.predictions[rows]]
    )
    before, after = compute_metrics(outcome, None, {}), compute_metrics(shuffled, None, {})
    for name in SCALARS:
        assert after[name] == pytest.approx(before[name])


def test_invalid_rate_is_left_out_for_a_run_that_scores_labels() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    references = np.array([0, 1])
    scored = ClassificationOutcome(("a", "b"), references, np.array([0, 1]), probabilities)
    assert compute_metrics(scored, ["invalid_rate"], {}) == {}
    generated = ClassificationOutcome(("a", "b"), references, np.array([0, 1]))
    assert compute_metrics(generated, ["invalid_rate"], {}) == {"invalid_rate": 0.0}
    odd = ClassificationOutcome(("a", "b"), references, np.array([0, -1]), probabilities)
    assert compute_metrics(odd, ["invalid_rate"], {}) == {"invalid_rate": 0.5}

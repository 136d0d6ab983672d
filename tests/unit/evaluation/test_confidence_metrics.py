"""Metrics of label probabilities against hand-computed values, loops and scikit-learn."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from sft.evaluation.metrics import compute_metrics
from sft.evaluation.outcome import ClassificationOutcome

NAMES = ["ece", "brier", "nll"]


def outcome_of(references: Sequence[int], probabilities: Sequence[Sequence[float]]) -> ClassificationOutcome:
    table = np.array(probabilities, dtype=np.float64)
    labels = tuple(f"label {i}" for i in range(table.shape[1]))
    return ClassificationOutcome(labels, np.array(references, dtype=np.int64), table.argmax(axis=1), table)


def results_of(references: Sequence[int], probabilities: Sequence[Sequence[float]], **arguments: Any) -> dict[str, Any]:
    return compute_metrics(outcome_of(references, probabilities), NAMES, arguments)


@st.composite
def outcomes(draw: st.DrawFn) -> ClassificationOutcome:
    n_labels = draw(st.integers(2, 5))
    weights = st.lists(st.integers(1, 50), min_size=n_labels, max_size=n_labels)
    rows = draw(st.lists(st.tuples(st.integers(0, n_labels - 1), weights), min_size=1, max_size=25))
    probabilities = [[weight / sum(weights) for weight in weights] for _, weights in rows]
    return outcome_of([reference for reference, _ in rows], probabilities)


def test_all_have_their_hand_computed_values() -> None:
    # confidences 0.7 and 0.6 (right, wrong) share the second half, 0.4 (right) is alone in the first
    results = results_of([0, 1, 2], [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]], bins=2)
    assert results["ece"] == pytest.approx((2 * abs(0.65 - 0.5) + 1 * abs(0.4 - 1)) / 3)
    first, second = results["reliability"]
    assert first == {"lower": 0.0, "upper": 0.5, "count": 1, "confidence": pytest.approx(0.4), "accuracy": 1.0}
    assert second == {"lower": 0.5, "upper": 1.0, "count": 2, "confidence": pytest.approx(0.65), "accuracy": 0.5}
    squares = [0.3**2 + 0.2**2 + 0.1**2, 0.6**2 + 0.7**2 + 0.1**2, 0.3**2 + 0.3**2 + 0.6**2]
    assert results["brier"] == pytest.approx(sum(squares) / 3)
    assert results["nll"] == pytest.approx(-(math.log(0.7) + math.log(0.3) + math.log(0.4)) / 3)


def test_ece_uses_15_bins_by_default_and_shows_the_empty_ones() -> None:
    table = results_of([0], [[0.7, 0.3]])["reliability"]
    assert len(table) == 15
    assert sum(row["count"] for row in table) == 1
    assert table[0] == {"lower": 0.0, "upper": 1 / 15, "count": 0, "confidence": None, "accuracy": None}


@pytest.mark.parametrize("bins", [1, 2, 3, 7, 10, 15, 100])
def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it(bins: int) -> None:
    for edge in range(bins + 1):
        table = results_of([0], [[edge / bins]], bins=bins)["reliability"]
        holding = [i for i, row in enumerate(table) if row["count"]]
        assert holding == [max(edge - 1, 0)], "0 has no bin below it and is in the first one"


@given(outcomes(), st.integers(1, 20))
def test_ece_equals_a_loop_over_exact_fractions(outcome: ClassificationOutcome, bins: int) -> None:
    assert outcome.probabilities is not None
    gap: dict[int, Fraction] = {}
    for reference, row in zip(outcome.references, outcome.probabilities.tolist(), strict=True):
        confidence = max(row)
        # the bin's edges as float64, as nobody can mean more of them
        bin_of_row = next(b for b in range(bins) if confidence <= (b + 1) / bins)
        hit = int(row.index(confidence) == reference)
        gap[bin_of_row] = gap.get(bin_of_row, Fraction(0)) + Fraction(confidence) - hit
    expected = sum(abs(sum_of_bin) for sum_of_bin in gap.values()) / len(outcome.references)
    assert compute_metrics(outcome, ["ece"], {"bins": bins})["ece"] == pytest.approx(float(expected), abs=1e-12)


@given(outcomes())
def test_brier_and_nll_equal_those_of_scikit_learn(outcome: ClassificationOutcome) -> None:
    results = compute_metrics(outcome, NAMES, {})
    arguments = (outcome.references, outcome.probabilities)
    labels = range(len(outcome.labels))
    assert results["brier"] == pytest.approx(brier_score_loss(*arguments, labels=labels, scale_by_half=False))
    assert results["nll"] == pytest.approx(log_loss(*arguments, labels=labels))


@given(outcomes(), st.integers(2, 20))
def test_finer_bins_never_find_less_than_the_gap_of_all_rows(outcome: ClassificationOutcome, bins: int) -> None:
    assert outcome.probabilities is not None
    whole = compute_metrics(outcome, ["ece"], {"bins": 1})["ece"]
    accuracy = compute_metrics(outcome, ["accuracy"], {})["accuracy"]
    assert whole == pytest.approx(abs(outcome.probabilities.max(axis=1).mean() - accuracy))
    binned = compute_metrics(outcome, ["ece"], {"bins": bins})
    assert whole - 1e-12 <= binned["ece"] <= 1
    assert sum(row["count"] for row in binned["reliability"]) == len(outcome.references)


@pytest.mark.parametrize("n_labels", [2, 3, 77])
def test_the_uniform_guess_has_its_known_scores(n_labels: int) -> None:
    results = results_of(range(n_labels), [[1 / n_labels] * n_labels] * n_labels)
    assert results["brier"] == pytest.approx(1 - 1 / n_labels)
    assert results["nll"] == pytest.approx(math.log(n_labels))
    assert results["ece"] == pytest.approx(0, abs=1e-12)


def test_certain_and_right_is_0_and_certain_and_wrong_is_the_worst() -> None:
    right = results_of([0, 1], [[1.0, 0.0], [0.0, 1.0]])
    assert [right[name] for name in NAMES] == [0.0, 0.0, 0.0]
    wrong = results_of([1, 0], [[1.0, 0.0], [0.0, 1.0]])
    assert wrong["ece"] == 1.0
    assert wrong["brier"] == 2.0
    assert wrong["nll"] == pytest.approx(-math.log(sys.float_info.min)), (
        "log(0) is cut off at the smallest normal number"
    )


def test_an_invalid_prediction_counts_as_wrong_in_ece() -> None:
    probabilities = np.array([[0.8, 0.2]])
    outcome = ClassificationOutcome(("a", "b"), np.array([0]), np.array([-1]), probabilities)
    assert compute_metrics(outcome, ["ece"], {})["ece"] == pytest.approx(0.8)


def test_without_probabilities_there_are_no_results() -> None:
    outcome = ClassificationOutcome(("a", "b"), np.array([0]), np.array([0]))
    assert compute_metrics(outcome, NAMES, {}) == {}

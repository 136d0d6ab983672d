"""Metrics of label sets against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from sft.evaluation.metrics import compute_metrics
from sft.evaluation.outcome import MultilabelOutcome

LABELS = ("a", "b", "c", "d")


@st.composite
def outcomes(draw: Any) -> MultilabelOutcome:
    """Log-odds are whole numbers, so that many tie."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    shape = (draw(st.integers(1, 8)), len(LABELS))
    shares = generator.random(4)
    log_odds = generator.integers(-2, 3, shape).astype(float)
    return MultilabelOutcome(LABELS, generator.random(shape) < shares, log_odds >= generator.integers(-1, 2), log_odds)


@given(outcomes())
def test_metrics_are_those_of_scikit_learn(outcome: MultilabelOutcome) -> None:
    have = compute_metrics(outcome, None, {})
    true, said = outcome.references.astype(int), outcome.predictions.astype(int)
    assert have["subset_accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(true, said))
    for average in ("micro", "macro"):
        expected = sklearn_metrics.f1_score(true, said, average=average, zero_division=0)
        assert have[f"{average}_f1"] == pytest.approx(expected)
    of_rows = [
        1.0 if not (a | b).any() else sklearn_metrics.jaccard_score(a, b, zero_division=0)
        for a, b in zip(true, said, strict=True)
    ]
    assert have["jaccard"] == pytest.approx(np.mean(of_rows))
    expected = sklearn_metrics.label_ranking_average_precision_score(true, outcome.log_odds)
    assert have["lrap"] == pytest.approx(expected)
    kinds = sklearn_metrics.precision_recall_fscore_support(true, said, average=None, zero_division=0)
    for row, label, *expected_row in zip(have["per_label"], LABELS, *kinds, strict=True):
        assert row["label"] == label
        assert [row["precision"], row["recall"], row["f1"], row["support"]] == pytest.approx(expected_row)


def test_there_is_no_ranking_without_probabilities() -> None:
    has = np.array([[True, False, False, True]])
    assert "lrap" not in compute_metrics(MultilabelOutcome(LABELS, has, has), None, {})

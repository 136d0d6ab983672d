"""Contract of every metric with row sums: of all rows together they give the metric itself, and of some rows too."""

from __future__ import annotations

import numpy as np
import pytest

from sft.evaluation.metrics import Metric, metric_registry
from sft.evaluation.outcome import (
    ClassificationOutcome,
    GenerationOutcome,
    MultilabelOutcome,
    MultipleChoiceOutcome,
    Outcome,
    StructuredOutcome,
)

WITH_ROW_SUMS = [entry for entry in metric_registry.values() if entry.row_sums is not None]
CASES = [(entry, task_type) for entry in WITH_ROW_SUMS for task_type in entry.task_types]
GENERATOR = np.random.default_rng(1)
TEXTS = ["a cat", "the dog sat", "two birds", "", "a cat sat", "one dog"]

VALUES = ['{"a": "x"}', '{"a": "y", "b": [1, 2]}', '{"a', '{"a": 3}', "{}", '{"b": [2, 3]}']
# Those without which a metric has no result.
ARGUMENTS = {"no_answer": {"answer_pattern": "cat|birds"}}


def outcome(task_type: str, rows: np.ndarray) -> Outcome:
    if task_type == "generation":
        return GenerationOutcome([[TEXTS[i], "dog"] for i in rows], [TEXTS[(i * 2) % 6] for i in rows])
    if task_type == "multilabel":
        log_odds = np.random.default_rng(3).normal(size=(6, 3)).round(1)[rows]
        references = np.random.default_rng(4).random((6, 3))[rows] < 0.4
        return MultilabelOutcome(("a", "b", "c"), references, log_odds > 0.3, log_odds)
    if task_type == "structured":
        schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        return StructuredOutcome(schema, [VALUES[i - i % 3] for i in rows], [VALUES[(i * 2) % 6] for i in rows])
    probabilities = np.random.default_rng(2).dirichlet(np.ones(3), 6)[rows]
    if task_type == "multiple_choice":
        of_two = rows < 2
        probabilities[of_two] = [[0.25, 0.75, 0.0]]
        candidates = [["x", "y"] if two else ["x", "y", "z"] for two in of_two]
        return MultipleChoiceOutcome(candidates, rows % 2, probabilities.argmax(axis=1), probabilities)
    predictions = np.where(rows == 5, -1, probabilities.argmax(axis=1))
    return ClassificationOutcome(("a", "b", "c"), rows % 3, predictions, probabilities)


def test_the_metrics_that_can_be_resampled_are_the_expected_ones() -> None:
    assert {entry.name for entry in WITH_ROW_SUMS} >= {
        *("accuracy", "balanced_accuracy", "f1", "mcc", "invalid_rate", "brier", "nll", "exact_match", "token_f1"),
        *("no_answer", "valid_json", "schema_valid", "value_match", "fields"),
    }


def test_metrics_that_resampling_would_bias_have_no_row_sums() -> None:
    assert not {entry.name for entry in WITH_ROW_SUMS} & {"ece", "bleu", "chrf"}


@pytest.mark.parametrize(("entry", "task_type"), CASES, ids=[f"{entry.name}-{task}" for entry, task in CASES])
def test_results_of_weighted_sums_are_those_of_the_rows_repeated(entry: Metric, task_type: str) -> None:
    rows, arguments = np.arange(6), ARGUMENTS.get(entry.name, {})
    assert entry.row_sums is not None
    of_rows = entry.row_sums.of_rows(outcome(task_type, rows), **arguments)
    assert of_rows is not None
    weights = GENERATOR.multinomial(6, np.full(6, 1 / 6), size=20).T
    found = entry.row_sums.results((of_rows.T @ weights).astype(float), 6)
    compared = 0
    for b in range(20):
        expected = entry.function(outcome(task_type, np.repeat(rows, weights[:, b])), **arguments)
        for name, value in expected.items():
            assert found[name][b] == pytest.approx(value, abs=1e-6)
            compared += 1
    assert compared >= 10

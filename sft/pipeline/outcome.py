"""Answers beside references: in the form that metrics take, and as the items of a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.outcome import ClassificationOutcome, GenerationOutcome, Outcome
from sft.pipeline.answers import Answers
from sft.pipeline.prepare import Prepared


def outcome_of(prepared: Prepared, answers: Answers) -> Outcome:
    if prepared.labels is None:
        return GenerationOutcome([list(example.references) for example in prepared.test], answers.texts)
    assert answers.label_indices is not None
    return ClassificationOutcome(
        labels=prepared.labels.names,
        references=np.array([example.label for example in prepared.test], dtype=np.int64),
        predictions=answers.label_indices,
        probabilities=answers.probabilities,
    )


def items_of(prepared: Prepared, answers: Answers) -> Iterator[dict[str, Any]]:
    """One item per test row: its inputs, reference and prediction, and what the prediction rests on.

    `scores` are the uncalibrated label log-probabilities in label order, so that calibrations can be tried without a
    model; `probabilities` are those that the metrics saw.
    """
    for i, example in enumerate(prepared.test):
        item: dict[str, Any] = {"row": example.row, "inputs": dict(example.inputs)}
        if prepared.labels is None:
            item["references"] = list(example.references)
        else:
            assert example.label is not None
            item["reference"] = prepared.labels.names[example.label]
        item["prediction"] = answers.texts[i]
        if answers.generated is not None:
            item["generated"] = answers.generated[i]
        if answers.scores is not None:
            item["scores"] = answers.scores.log_probs[i].tolist()
            item["token_counts"] = answers.scores.token_counts[i].tolist()
        if answers.probabilities is not None:
            item["probabilities"] = shown_probabilities(answers.probabilities[i])
        yield item


def shown_probabilities(row: NDArray[np.float64]) -> list[float]:
    """The probabilities of one row, in the precision that items have."""
    return [round(float(p), 6) for p in row]

"""The items of a record: what was asked, what is right and what was answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sft.label_scores import shown_probabilities
from sft.pipeline.answers import Answers
from sft.pipeline.prepare import Prepared
from sft.pipeline.tasks import task_of


def items_of(prepared: Prepared, answers: Answers) -> Iterator[dict[str, Any]]:
    """One item per test row: its inputs, reference and prediction, and what the prediction rests on.

    `scores` are the uncalibrated label log-probabilities in label order, so that calibrations can be tried without a
    model, and `log_odds` those of multi-label questions, likewise; `probabilities` are those that the metrics saw.
    """
    task = task_of(prepared.config)
    for i, example in enumerate(prepared.test):
        item: dict[str, Any] = {"row": example.row, "inputs": dict(example.inputs)}
        item |= task.reference(prepared, example)
        item["prediction"] = task.prediction(prepared, answers, i)
        if answers.generated is not None:
            item["generated"] = answers.generated[i]
        if answers.problems is not None and answers.problems[i] is not None:
            item["problem"] = answers.problems[i]
        if answers.scores is not None:
            scores = answers.scores.row(i)
            item["scores"] = scores.log_probs.tolist()
            item["token_counts"] = scores.token_counts.tolist()
        if answers.log_odds is not None:
            item["log_odds"] = answers.log_odds[i].tolist()
        if answers.probabilities is not None:
            n = answers.probabilities.shape[1] if answers.scores is None else len(answers.scores.row(i).log_probs)
            item["probabilities"] = shown_probabilities(answers.probabilities[i, :n])
        yield item

"""One label of the task's for each row: the one with the best score, or the one that a generated text names."""

from __future__ import annotations

from typing import Any

import numpy as np

from sft.data.example import Example, LabelSet
from sft.evaluation.baselines import classification_baselines
from sft.evaluation.outcome import ClassificationOutcome, Outcome
from sft.inference.parse import parse_label
from sft.label_scores import INVALID
from sft.pipeline.answers import Answers
from sft.pipeline.prepare import Prepared
from sft.pipeline.tasks.base import Asked, task_registry
from sft.pipeline.tasks.scored import ScoredTask, scored_answers
from sft.prompting.build import PromptBuilder


class Classification(ScoredTask):
    def answer(self, asked: Asked) -> Answers:
        if asked.answerer.prepared.config.inference_or_default.method == "logits":
            return _scored(asked)
        return _generated(asked)

    def outcome(self, prepared: Prepared, answers: Answers) -> Outcome:
        assert answers.label_indices is not None
        return ClassificationOutcome(
            labels=_labels(prepared).names,
            references=np.array([example.label for example in prepared.test], dtype=np.int64),
            predictions=answers.label_indices,
            probabilities=answers.probabilities,
        )

    def reference(self, prepared: Prepared, example: Example) -> dict[str, Any]:
        assert example.label is not None
        return {"reference": _labels(prepared).names[example.label]}

    def longest_answer(self, prepared: Prepared, builder: PromptBuilder) -> int:
        return _longest_label(builder)

    def baselines(self, prepared: Prepared) -> dict[str, dict[str, Any]]:
        return classification_baselines(
            ["\n".join(example.inputs.values()) for example in prepared.pool],
            [example.label for example in prepared.pool if example.label is not None],
            ["\n".join(example.inputs.values()) for example in prepared.test],
            [example.label for example in prepared.test if example.label is not None],
            _labels(prepared).names,
            prepared.config.seed_for("train"),
        )


def _scored(asked: Asked) -> Answers:
    answers = scored_answers(asked)
    answers.report["label_tokens"] = [len(ids) for ids in asked.builder.bare_labels().labels]
    return answers


def _generated(asked: Asked) -> Answers:
    labels = _labels(asked.answerer.prepared)
    max_new_tokens = asked.answerer.max_new_tokens(lambda: _longest_label(asked.builder))
    texts, report = asked.answerer.generate(asked, max_new_tokens)
    parsed = np.array([parse_label(text, labels.verbalisations) for text in texts], dtype=np.int64)
    names = ["" if i == INVALID else labels.names[i] for i in parsed]
    return Answers(texts=names, label_indices=parsed, generated=texts, report=report)


def _longest_label(builder: PromptBuilder) -> int:
    """With the end of the turn."""
    return max(map(len, builder.bare_labels().labels)) + 1


def _labels(prepared: Prepared) -> LabelSet:
    assert prepared.labels is not None
    return prepared.labels


task_registry["classification"] = Classification()

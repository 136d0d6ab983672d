"""One of each row's own candidates: the one with the best score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sft.data.example import Example
from sft.evaluation.outcome import MultipleChoiceOutcome, Outcome
from sft.pipeline.answers import Answers
from sft.pipeline.prepare import Prepared
from sft.pipeline.tasks.base import Asked, task_registry
from sft.pipeline.tasks.scored import ScoredTask, scored_answers


class MultipleChoice(ScoredTask):
    def answer(self, asked: Asked) -> Answers:
        # Inputs without content say something of labels that rows share, and nothing of a row's candidates.
        also = [replace(one, content_free=(), random_words=0) for one in asked.also]
        answers = scored_answers(asked._replace(also=also))
        counts = [len(example.candidates) for example in asked.examples]
        answers.report["candidates"] = {"fewest": min(counts), "most": max(counts)}
        return answers

    def outcome(self, prepared: Prepared, answers: Answers) -> Outcome:
        assert answers.label_indices is not None
        assert answers.probabilities is not None
        return MultipleChoiceOutcome(
            candidates=[example.candidates for example in prepared.test],
            references=np.array([example.label for example in prepared.test], dtype=np.int64),
            predictions=answers.label_indices,
            probabilities=answers.probabilities,
        )

    def reference(self, prepared: Prepared, example: Example) -> dict[str, Any]:
        assert example.label is not None
        return {
            "candidates": list(example.candidates),
            "reference": example.candidates[example.label],
            "reference_index": example.label,
        }

    def baselines(self, prepared: Prepared) -> dict[str, dict[str, Any]]:
        """A guess among each row's candidates: its expectation, which needs no draw."""
        return {"random_guess": {"accuracy": _mean_chance(prepared.test)}}


def _mean_chance(examples: Sequence[Example]) -> float:
    return float(np.mean([1 / len(example.candidates) for example in examples]))


task_registry["multiple_choice"] = MultipleChoice()

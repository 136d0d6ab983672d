"""Answers in the model's own words."""

from __future__ import annotations

from typing import Any

from sft.data.example import Example
from sft.evaluation.outcome import GenerationOutcome, Outcome
from sft.pipeline.answers import Answers
from sft.pipeline.prepare import Prepared
from sft.pipeline.tasks.base import Asked, Task, task_registry


class Generation(Task):
    def answer(self, asked: Asked) -> Answers:
        max_new_tokens = asked.answerer.max_new_tokens(
            lambda: self.longest_answer(asked.answerer.prepared, asked.builder)
        )
        texts, report = asked.answerer.generate(asked, max_new_tokens)
        return Answers(texts=texts, generated=texts, report=report)

    def outcome(self, prepared: Prepared, answers: Answers) -> Outcome:
        return GenerationOutcome([list(example.references) for example in prepared.test], answers.texts)

    def reference(self, prepared: Prepared, example: Example) -> dict[str, Any]:
        return {"references": list(example.references)}


task_registry["generation"] = Generation()

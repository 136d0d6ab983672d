"""Answers that are JSON values of a schema: generated under it, or freely and then judged by it."""

from __future__ import annotations

from typing import Any

from sft.data.example import Example
from sft.data.outputs.structured import output_schema_of
from sft.evaluation.outcome import Outcome, StructuredOutcome
from sft.pipeline.answers import Answers
from sft.pipeline.prepare import Prepared
from sft.pipeline.tasks.base import Asked, Task, task_registry


class Structured(Task):
    def answer(self, asked: Asked) -> Answers:
        from sft.inference.constrained.constraint import json_schema_constraint  # imports torch

        answerer, config = asked.answerer, asked.answerer.prepared.config
        schema, constraint = output_schema_of(config), None
        if config.is_constrained:
            lead = answerer.format.answer("{").removesuffix("{")
            constraint = json_schema_constraint(schema.schema, answerer.vocabulary(), lead=lead)
        fewest = 0 if constraint is None else constraint.fewest_tokens
        max_new_tokens = answerer.max_new_tokens(
            lambda: max(self.longest_answer(answerer.prepared, asked.builder), fewest + 1)
        )
        texts, report = answerer.generate(asked, max_new_tokens, constraint)
        problems = [schema.problem_of_text(text) for text in texts]
        report |= {"constrained": constraint is not None, "problems": sum(one is not None for one in problems)}
        return Answers(texts=texts, generated=texts, problems=problems, report=report)

    def outcome(self, prepared: Prepared, answers: Answers) -> Outcome:
        return StructuredOutcome(
            dict(output_schema_of(prepared.config).schema),
            [example.references[0] for example in prepared.test],
            answers.texts,
        )

    def reference(self, prepared: Prepared, example: Example) -> dict[str, Any]:
        return {"reference": example.references[0]}


task_registry["structured"] = Structured()

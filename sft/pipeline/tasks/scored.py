"""Answers by the scores of those that the data gives: the labels of the task, or a row's candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sft.calibration import Needs
from sft.pipeline.answers import Answers
from sft.pipeline.conclude import needs_of
from sft.pipeline.support import support_prompts
from sft.pipeline.tasks.base import Asked
from sft.progress import progress


def scored_answers(asked: Asked) -> Answers:
    answerer, builder = asked.answerer, asked.builder
    prompts = [
        builder.label_prompt(example, asked.shown.for_query(example))
        for example in progress(asked.examples, "building prompts")
    ]
    inference = answerer.prepared.config.inference_or_default
    needed, also = needs_of(inference), asked.also
    if asked.shots is not None:
        needed, also = _without_shots(needed), _without_shots(also)
    # A builder of its own, because what it cuts says nothing of the test rows.
    other = answerer.builder(inference.max_seq_length)
    beside = support_prompts(answerer.prepared, other, asked.examples, asked.shown, needed=needed, also=also)
    answers = answerer.label_scoring(builder).answers(asked.examples, prompts, beside, asked.shots or ())
    answers.report["support"]["truncation"] = other.counts.as_dict()
    return answers


def _without_shots(needs: Sequence[Needs]) -> list[Needs]:
    return [replace(one, shots=False) for one in needs]

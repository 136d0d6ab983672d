"""Answers by the scores of those that the data gives: the labels of the task, or a row's candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sft.calibration import Needs
from sft.calibration.scored import ScoredInput
from sft.config.schema import ExperimentConfig
from sft.data.example import Example
from sft.errors import SftError
from sft.pipeline.answers import Answers
from sft.pipeline.conclude import needs_of, scores_shots
from sft.pipeline.prepare import Prepared
from sft.pipeline.support import support_prompts
from sft.pipeline.tasks.base import Asked, Obstacle, ShotScoringTask, logger
from sft.progress import progress

if TYPE_CHECKING:
    from sft.pipeline.answer import Answerer


class ScoredTask(ShotScoringTask):
    """A task whose answers are chosen by their scores, which calibrations may learn to adjust."""

    def scores_shots(self, config: ExperimentConfig) -> bool:
        return config.scores_answers and scores_shots(config.inference_or_default)

    def needs_shots(self, config: ExperimentConfig) -> bool:
        return any(needs.shots for needs in needs_of(config.inference_or_default))

    def do_without_shots(self, prepared: Prepared, obstacle: Obstacle) -> None:
        calibration = prepared.config.inference_or_default.calibration
        if calibration is not None and self.needs_shots(prepared.config):
            what = f"inference.calibration: {calibration.method!r} learns from labelled rows, and {obstacle.what}"
            raise SftError(what, obstacle.fix)
        logger.warning("inference.score_shots has no effect: %s", obstacle.what)

    def score_shots(self, answerer: Answerer, shots: Sequence[Example]) -> list[ScoredInput]:
        return answerer.label_scores(shots)

    def read_shot(self, item: Mapping[str, Any]) -> ScoredInput:
        return ScoredInput.from_item(item)


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
    if prompts:
        answers.report.update(answerer.example(asked.examples[0], prompts[0].prompt))
    return answers


def _without_shots(needs: Sequence[Needs]) -> list[Needs]:
    return [replace(one, shots=False) for one in needs]

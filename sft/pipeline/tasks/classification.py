"""One label of the task's for each row: the one with the best score, or the one that a generated text names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sft.calibration import Needs
from sft.calibration.scored import ScoredInput
from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.errors import SftError
from sft.evaluation.baselines import classification_baselines
from sft.evaluation.outcome import ClassificationOutcome, Outcome
from sft.inference.parse import parse_label
from sft.label_scores import INVALID
from sft.pipeline.answers import Answers
from sft.pipeline.conclude import needs_of, scores_shots
from sft.pipeline.prepare import Prepared
from sft.pipeline.support import support_prompts
from sft.pipeline.tasks.base import Asked, Obstacle, Task, logger, task_registry
from sft.progress import progress

if TYPE_CHECKING:
    from sft.pipeline.answer import Answerer


class Classification(Task):
    def answer(self, asked: Asked) -> Answers:
        if asked.answerer.prepared.config.inference_or_default.method == "logits":
            return _scored(asked)
        return _generated(asked)

    def scores_shots(self, config: ExperimentConfig) -> bool:
        return scores_shots(config.inference_or_default)

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
    answers.report["label_tokens"] = [len(ids) for ids in builder.bare_labels().labels]
    answers.report["support"]["truncation"] = other.counts.as_dict()
    return answers


def _generated(asked: Asked) -> Answers:
    labels = _labels(asked.answerer.prepared)
    max_new_tokens = asked.answerer.max_new_tokens(lambda: max(map(len, asked.builder.bare_labels().labels)) + 1)
    texts, report = asked.answerer.generate(asked, max_new_tokens)
    parsed = np.array([parse_label(text, labels.verbalisations) for text in texts], dtype=np.int64)
    names = ["" if i == INVALID else labels.names[i] for i in parsed]
    return Answers(texts=names, label_indices=parsed, generated=texts, report=report)


def _labels(prepared: Prepared) -> LabelSet:
    assert prepared.labels is not None
    return prepared.labels


def _without_shots(needs: Sequence[Needs]) -> list[Needs]:
    return [replace(one, shots=False) for one in needs]


task_registry["classification"] = Classification()

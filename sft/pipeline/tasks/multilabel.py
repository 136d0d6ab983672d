"""Any number of labels for each row: by a yes or no about each, or as a list that is generated under a grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.data.folds import stratified_folds
from sft.data.label_lists import LabelLists
from sft.data.sampling import InContextExamples
from sft.evaluation.multilabel_baselines import multilabel_baselines
from sft.evaluation.outcome import MultilabelOutcome, Outcome
from sft.evaluation.thresholds import sigmoid
from sft.pipeline.answers import Answers
from sft.pipeline.label_thresholds import choose_thresholds
from sft.pipeline.prepare import Prepared
from sft.pipeline.question_scoring import AskedShot, QuestionScoring, ask_shots, questions_of
from sft.pipeline.tasks.base import Asked, Obstacle, Prompts, ShotScoringTask, logger, task_registry
from sft.pipeline.tasks.generation import longest_reference
from sft.progress import progress
from sft.prompting.build import PromptBuilder, TrainingSequence
from sft.prompting.plain import default_template, question_template
from sft.training.sequences import refuse_nothing

if TYPE_CHECKING:
    from sft.pipeline.answer import Answerer


class Multilabel(ShotScoringTask):
    def prompts(self, prepared: Prepared) -> Prompts:
        config = prepared.config
        if not config.asks_about_labels:
            return Prompts(config.prompting, labels=None)
        questions = questions_of(prepared)
        prompting, column = config.prompting, questions.column
        columns, output_column = prompting.input_columns, prompting.output_column
        if config.template_asks:
            template = question_template(columns, output_column, column)
        else:
            template = default_template(columns, output_column)
        changes = {"input_columns": [*columns, column], "template": prompting.template or template}
        return Prompts(
            prompting.model_copy(update=changes),
            questions.answers,
            never_cut=(column,),
            in_answer=None if questions.spec.place == "prompt" else column,
            of_chat=questions.spec.place is None,
        )

    def answer(self, asked: Asked) -> Answers:
        return _asked(asked) if asked.answerer.prepared.config.asks_about_labels else _generated(asked)

    def outcome(self, prepared: Prepared, answers: Answers) -> Outcome:
        assert answers.label_sets is not None
        return MultilabelOutcome(
            _labels(prepared).names, _has_label(prepared.test, prepared), answers.label_sets, answers.log_odds
        )

    def reference(self, prepared: Prepared, example: Example) -> dict[str, Any]:
        names = _labels(prepared).names
        return {"reference": [names[label] for label in example.labels or ()]}

    def prediction(self, prepared: Prepared, answers: Answers, i: int) -> Any:
        assert answers.label_sets is not None
        return _names(answers.label_sets[i], _labels(prepared))

    def baselines(self, prepared: Prepared) -> dict[str, dict[str, Any]]:
        pool, test = prepared.pool, prepared.test
        folds = stratified_folds(pool, min(prepared.config.inference_or_default.folds, max(1, len(pool))))
        fold_of = {example.row: number for number, fold in enumerate(folds) for example in fold}
        return multilabel_baselines(
            ["\n".join(example.inputs.values()) for example in pool],
            _has_label(pool, prepared),
            [fold_of[example.row] for example in pool],
            ["\n".join(example.inputs.values()) for example in test],
            _has_label(test, prepared),
            _labels(prepared).names,
            prepared.config.seed_for("train"),
        )

    def training_sequences(
        self, prepared: Prepared, shown: InContextExamples, builder: PromptBuilder
    ) -> list[TrainingSequence]:
        """Yes for every label that a row of the pool holds, and no for as many rows without it; or every row's list."""
        if not prepared.config.asks_about_labels:
            return super().training_sequences(prepared, shown, builder)
        questions, seed = questions_of(prepared), prepared.config.seed_for("icl")
        asked = refuse_nothing(list(questions.balanced(prepared.pool, prepared.config.seed_for("data"))))
        return [
            builder.training_sequence(question, questions.shown(shown.for_query(row), seed))
            for row, question in progress(asked, "building training prompts")
        ]

    def scores_shots(self, config: ExperimentConfig) -> bool:
        return self.needs_shots(config)

    def needs_shots(self, config: ExperimentConfig) -> bool:
        return config.asks_about_labels and config.inference_or_default.thresholds == "auto"

    def do_without_shots(self, prepared: Prepared, obstacle: Obstacle) -> None:
        if prepared.pool:
            logger.warning("the threshold of every label is 0.5: %s", obstacle.what)

    def score_shots(self, answerer: Answerer, shots: Sequence[Example]) -> list[AskedShot]:
        return ask_shots(answerer, shots)

    def read_shot(self, item: Mapping[str, Any]) -> AskedShot:
        return AskedShot.from_item(item)


def _asked(asked: Asked) -> Answers:
    prepared, answerer = asked.answerer.prepared, asked.answerer
    scoring = QuestionScoring(answerer, asked.builder, questions_of(prepared))
    log_odds = scoring.log_odds([(row, asked.shown.for_query(row)) for row in asked.examples])
    example = answerer.example(asked.examples[0], scoring.first_prompt) if scoring.first_prompt else {}
    shots = list(asked.shots or ())
    if asked.shots is None and any(needs.shots for needs in asked.also):
        # A builder of its own, because what it cuts says nothing of the test rows.
        limit = prepared.config.inference_or_default.max_seq_length
        of_shots = QuestionScoring(answerer, answerer.builder(limit), questions_of(prepared), scoring.scorer)
        shots = of_shots.shots(prepared.pool, prepared.calibration_examples())
    labels = _labels(prepared)
    chosen = choose_thresholds(prepared.config.inference_or_default.thresholds, labels, shots)
    has_label = log_odds >= chosen.log_odds
    return Answers(
        texts=_texts(has_label, prepared),
        label_sets=has_label,
        log_odds=log_odds,
        probabilities=sigmoid(log_odds),
        support=shots,
        report={"method": "label_questions", **scoring.report(), "thresholds": chosen.report, **example},
    )


def _generated(asked: Asked) -> Answers:
    from sft.inference.constrained.constraint import grammar_constraint  # imports torch

    answerer, prepared = asked.answerer, asked.answerer.prepared
    lists = LabelLists(_labels(prepared).verbalisations)
    lead = answerer.format.answer("a").removesuffix("a")
    constraint = grammar_constraint(lists.grammar, answerer.vocabulary(), lead=lead)
    longest = answerer.max_new_tokens(lambda: max(longest_reference(asked), constraint.fewest_tokens + 1))
    texts, report = answerer.generate(asked, longest, constraint)
    has_label = np.zeros((len(texts), len(_labels(prepared))), dtype=bool)
    for row, text in zip(has_label, texts, strict=True):
        row[lists.labels(text)] = True
    return Answers(texts=_texts(has_label, prepared), label_sets=has_label, generated=texts, report=report)


def _texts(has_label: NDArray[np.bool_], prepared: Prepared) -> list[str]:
    separator = f"{prepared.config.dataset.label_separator.strip()} "
    return [separator.join(_names(row, _labels(prepared))) for row in has_label]


def _names(has_label: NDArray[np.bool_], labels: LabelSet) -> list[str]:
    """The labels of a row, in label order. has_label: [L]."""
    return [name for name, has in zip(labels.names, has_label, strict=True) if has]


def _has_label(rows: list[Example], prepared: Prepared) -> NDArray[np.bool_]:
    """[N, L]."""
    n_labels = len(_labels(prepared))
    return np.array([[row.has(label) for label in range(n_labels)] for row in rows], dtype=bool).reshape(-1, n_labels)


def _labels(prepared: Prepared) -> LabelSet:
    assert prepared.labels is not None
    return prepared.labels


task_registry["multilabel"] = Multilabel()

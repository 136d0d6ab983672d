"""How sure a model is that rows have labels: of test rows, and of shots for thresholds and selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sft.data.example import Example
from sft.data.questions import NO, YES, Questions
from sft.data.sampling import InContextExamples
from sft.errors import NotANumberError
from sft.inference.label_end import scored_end
from sft.inference.label_questions import score_questions
from sft.pipeline.prepare import Prepared
from sft.progress import progress
from sft.prompting.build import PromptBuilder

if TYPE_CHECKING:
    from sft.inference.label_scorer import LabelScorer
    from sft.pipeline.answer import Answerer


@dataclass(frozen=True)
class AskedShot:
    """A shot, its labels' names, and the log-odds [L] that a model which hasn't seen them gives to each label."""

    row: int
    inputs: Mapping[str, str]
    reference: Sequence[str]
    log_odds: NDArray[np.float64]

    def as_item(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": "shot", **vars(self), "inputs": dict(self.inputs), "log_odds": self.log_odds.tolist()}

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> AskedShot:
        return cls(item["row"], item["inputs"], item["reference"], np.array(item["log_odds"], dtype=np.float64))


class QuestionScoring:
    """builder: of prompts that hold a label. scorer: by default a new one.

    first_prompt: the first question of the rows that were asked last.
    """

    def __init__(
        self, answerer: Answerer, builder: PromptBuilder, questions: Questions, scorer: LabelScorer | None = None
    ) -> None:
        config = answerer.prepared.config
        self._builder = builder
        self._questions = questions
        self._seed = config.seed_for("icl")
        self._end = scored_end(config.inference_or_default.label_end, answerer.format, builder.bare_labels())
        self.scorer = scorer or answerer.scorer()
        self.first_prompt: list[int] | None = None

    def log_odds(self, rows: Sequence[tuple[Example, Sequence[Example]]]) -> NDArray[np.float64]:
        """[N, L], of yes against no, for rows with the in-context examples of their prompts."""
        questions = self._questions
        if not rows:
            return np.empty((0, len(questions.labels)))
        prompts = [
            self._builder.questions(questions.of(row), questions.shown(shown, self._seed))
            for row, shown in progress(rows, "building prompts")
        ]
        first = prompts[0]
        self.first_prompt = [*first.prompt, *first.labels[0][: first.given[0]]]
        scores = score_questions(self.scorer, prompts, self._end, len(questions.answers))
        with np.errstate(invalid="ignore"):  # minus infinity less minus infinity, which is told below
            log_odds: NDArray[np.float64] = scores[:, :, YES] - scores[:, :, NO]
        if np.isnan(log_odds).any():
            raise NotANumberError(
                "the model holds both answers about a label to be impossible", "change prompting.label_question"
            )
        return log_odds

    def shots(self, shots: Sequence[Example], shown: InContextExamples) -> list[AskedShot]:
        """Labelled rows that the model wasn't trained on."""
        names = self._questions.labels.names
        odds = self.log_odds([(shot, shown.for_query(shot)) for shot in shots])
        return [
            AskedShot(shot.row, shot.inputs, [names[i] for i in shot.labels or ()], row)
            for shot, row in zip(shots, odds, strict=True)
        ]

    def report(self) -> dict[str, Any]:
        return {"scorer": self.scorer.report(), "label_end": "none" if self._end is None else "eot"}


def questions_of(prepared: Prepared) -> Questions:
    """About the labels of a run's task."""
    assert prepared.labels is not None
    return Questions(prepared.labels, prepared.config.label_question)


def ask_shots(answerer: Answerer, shots: Sequence[Example]) -> list[AskedShot]:
    """Rows that the answerer's model wasn't trained on, after in-context examples of its own pool."""
    prepared = answerer.prepared
    builder = answerer.builder(prepared.config.inference_or_default.max_seq_length)
    return QuestionScoring(answerer, builder, questions_of(prepared)).shots(shots, prepared.held_out_examples())

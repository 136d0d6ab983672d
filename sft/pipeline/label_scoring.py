"""Answers by label scores: of test rows and of whatever is scored beside them, in one call of the scorer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sft.calibration.scored import ScoredInput, ScoredInputs
from sft.data.example import Example
from sft.data.random_words import ROWS_READ
from sft.inference.label_end import one_is_prefix
from sft.inference.label_scorer import LabelScorer
from sft.label_scores import LabelScores
from sft.pipeline.answers import Answers
from sft.pipeline.conclude import conclude
from sft.pipeline.prepare import Prepared
from sft.pipeline.support import SupportPrompt
from sft.prompting.build import LabelPrompt

logger = logging.getLogger(__name__)


class Scored(NamedTuple):
    """Raw scores of test rows, and of the inputs beside them."""

    rows: LabelScores
    support: list[ScoredInput]


@dataclass(frozen=True)
class LabelScoring:
    """How a run scores labels, or each row's candidates.

    end: the token that is scored after each (see `label_end`), or None. end_in_need: the token that is scored after the
    candidates of rows in which one begins another, where none is scored elsewhere.
    """

    prepared: Prepared
    scorer: LabelScorer
    end: int | None
    end_in_need: int | None = None

    def score(self, prompts: Sequence[LabelPrompt], beside: Sequence[SupportPrompt]) -> Scored:
        """Everything in one call, in which the scorer can share what prompts have in common."""
        every = [*prompts, *(one.prompt for one in beside)]
        scores = self.scorer.score(
            every, self.end if self.end_in_need is None else [self.end_after(one) for one in every]
        )
        n = len(prompts)
        support = [ScoredInput(one.input, *scores.row(n + i)) for i, one in enumerate(beside)]
        return Scored(LabelScores(scores.log_probs[:n], scores.token_counts[:n]), support)

    def answers(
        self,
        examples: Sequence[Example],
        prompts: Sequence[LabelPrompt],
        beside: Sequence[SupportPrompt],
        shots: Sequence[ScoredInput],
    ) -> Answers:
        """The answers to `examples`, whose prompts are given. shots: scores that other models gave to the shots."""
        labels = self.prepared.labels
        scored = self.score(prompts, beside)
        support = [*scored.support, *shots]
        by_need = ScoredInputs(support, labels.names if labels else ())
        concluded = conclude(self.prepared.config.inference_or_default, labels, scored.rows, examples, by_need)
        for warning in concluded.warnings:
            logger.warning("%s", warning)
        file = self.prepared.unlabelled
        stored = {
            "inputs": by_need.counts(),
            **(
                {}
                if labels is None
                else {"training_rows_for_random_words": min(len(self.prepared.data.train), ROWS_READ)}
            ),
            **({} if file is None else {"unlabelled_fingerprint": file.fingerprint}),
        }
        return Answers(
            texts=[
                labels.names[i] if labels else example.candidates[i]
                for example, i in zip(examples, concluded.label_indices, strict=True)
            ],
            label_indices=concluded.label_indices,
            probabilities=concluded.probabilities,
            scores=scored.rows,
            support=support,
            report={
                "method": "logits",
                "scorer": self.scorer.report(),
                "label_end": self._end_rule(),
                **concluded.report,
                "support": stored,
            },
        )

    def end_after(self, prompt: LabelPrompt) -> int | None:
        """The token that is scored after each of a prompt's labels."""
        return self.end_in_need if self.end_in_need is not None and one_is_prefix(prompt.labels) else self.end

    def _end_rule(self) -> str:
        if self.end_in_need is not None:
            return "eot where a candidate begins another"
        return "none" if self.end is None else "eot"

"""Watching, or changing, what a run has scored, whichever scorer it uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sft.inference.label_scorer import LabelScorer
from sft.label_scores import LabelScores
from sft.pipeline.answer import Answerer
from sft.prompting.build import LabelPrompt


class _Spy:
    def __init__(
        self, scorer: LabelScorer, calls: list[list[LabelPrompt]], change: Callable[[LabelScores], None]
    ) -> None:
        self.report = scorer.report
        self._scorer, self._calls, self._change = scorer, calls, change

    def score(self, prompts: Sequence[LabelPrompt], end_id: int | None) -> LabelScores:
        self._calls.append(list(prompts))
        scores = self._scorer.score(prompts, end_id)
        self._change(scores)
        return scores


def spy_on_scoring(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[LabelScores], None] = lambda scores: None
) -> list[list[LabelPrompt]]:
    """The prompts of every call of the scorer from now on. change: what to do to the scores, in place."""
    calls: list[list[LabelPrompt]] = []
    make: Any = Answerer.scorer
    monkeypatch.setattr(Answerer, "scorer", lambda self: _Spy(make(self), calls, change))
    return calls

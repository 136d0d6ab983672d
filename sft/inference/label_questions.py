"""Scores of yes and no about each label of a row: all questions about a row are one tree after what they begin with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sft.inference.label_tree import label_tree
from sft.prompting.build import LabelPrompt

if TYPE_CHECKING:
    from sft.inference.label_scorer import LabelScorer

# Nodes of one tree. A forward pass takes a row's tree whole, and its attention grows with the square.
_MOST_NODES = 1024


def score_questions(
    scorer: LabelScorer, prompts: Sequence[LabelPrompt], end_id: int | None, answers: int
) -> NDArray[np.float64]:
    """Log-probabilities of the answers to every question: [rows, questions, answers].

    prompts: one for each row, all with the same number of questions; their labels are the questions in turn, each with
    all its `answers`. Where those begin alike, only the rest is scored, so that differences are exact.
    """
    n_questions = len(prompts[0].labels) // answers
    nodes = max(len(label_tree(prompt.labels, end_id, prompt.given)) for prompt in prompts)
    n_parts = min(n_questions, math.ceil(nodes / _MOST_NODES))
    width = math.ceil(n_questions / max(1, n_parts)) * answers
    starts = range(0, len(prompts[0].labels), width)
    parts = [_part(prompt, start, width) for prompt in prompts for start in starts]
    scores = scorer.score(parts, end_id).log_probs
    whole: NDArray[np.float64] = scores.reshape(len(prompts), -1, answers)[:, :n_questions]
    return whole


def _part(prompt: LabelPrompt, start: int, width: int) -> LabelPrompt:
    """Labels of a prompt from `start` on; the last is repeated, which costs nothing, where fewer are left."""
    places = [min(i, len(prompt.labels) - 1) for i in range(start, start + width)]
    return LabelPrompt(prompt.prompt, [prompt.labels[i] for i in places], [prompt.given[i] for i in places])

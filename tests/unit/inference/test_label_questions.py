"""Scores of questions in one tree against each question and answer in a sequence of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sft.inference import label_questions
from sft.inference.label_questions import score_questions
from sft.inference.label_scorer import LabelScorer
from sft.inference.label_tree import label_tree
from sft.inference.language_head import LanguageHead
from sft.prompting.build import LabelPrompt
from tests.label_scoring import brute_force
from tests.tiny_models import random_ids, tiny_loaded

NO, YES = [70, 71], [80]
# The second question begins with the first; the last shares its beginning with no other.
QUESTIONS = [[9, 8], [9, 8, 7, 6], [9, 5], [9], [30, 31, 32]]
LENGTHS = (3, 25, 40, 12)


def prompts(questions: list[list[int]] = QUESTIONS) -> list[LabelPrompt]:
    common = random_ids([20], seed=4)[0]
    labels = [question + answer for question in questions for answer in (NO, YES)]
    given = [len(question) for question in questions for _ in (NO, YES)]
    return [LabelPrompt(common + tail, labels, given) for tail in random_ids(LENGTHS)]


def alone(loaded: Any, end_id: int | None, questions: list[list[int]] = QUESTIONS) -> np.ndarray:
    """[rows, questions, answers]: each question is a prompt of its own."""
    asked = [
        LabelPrompt(prompt.prompt + question, [NO, YES]) for prompt in prompts(questions) for question in questions
    ]
    return brute_force(loaded.model, asked, end_id).reshape(len(LENGTHS), len(questions), 2)


@pytest.mark.parametrize("ends", [True, False], ids=["with end-of-turn", "without"])
@pytest.mark.parametrize(
    ("architecture", "engine"),
    [("llama", "tree"), ("gemma2", "tree"), ("bloom", "cache"), ("mamba", "cache_stepwise"), ("llama", "naive")],
)
def test_all_questions_of_a_row_together_score_as_each_alone(architecture: str, engine: Any, ends: bool) -> None:
    loaded = tiny_loaded(architecture)
    end_id = loaded.tokenizer.eos_token_id if ends else None
    expected = alone(loaded, end_id)
    assert (expected[:, :, 1] - expected[:, :, 0]).std() > 0.5, "the answers are too alike to tell anything"
    for name in dict.fromkeys((engine, "auto")):
        have = score_questions(LabelScorer(loaded, engine=name), prompts(), end_id, 2)
        np.testing.assert_allclose(have, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("most", [1, 5, 8, 10_000])
def test_trees_that_would_be_too_large_are_parted_without_changing_a_score(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tiny_loaded()
    expected, sizes = alone(loaded, None), []
    monkeypatch.setattr(label_questions, "_MOST_NODES", most)
    scorer = LabelScorer(loaded, engine="tree")
    score = scorer.score

    def watched(parts: Any, end_id: int | None) -> Any:
        sizes.extend(len(label_tree(part.labels, end_id, part.given)) for part in parts)
        return score(parts, end_id)

    monkeypatch.setattr(scorer, "score", watched)
    np.testing.assert_allclose(score_questions(scorer, prompts(), None, 2), expected, atol=1e-4, rtol=0)
    whole = len(label_tree(prompts()[0].labels, None, prompts()[0].given))
    assert max(sizes) == whole if most >= whole else max(sizes) < whole


def test_the_head_runs_where_answers_are_predicted_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []
    original = LanguageHead.log_probs

    def watched(self: LanguageHead, hidden: Any, positions: Any, *args: Any, **kwargs: Any) -> Any:
        scored.append(len(positions))
        return original(self, hidden, positions, *args, **kwargs)

    monkeypatch.setattr(LanguageHead, "log_probs", watched)
    score_questions(LabelScorer(tiny_loaded(), engine="tree"), prompts(), None, 2)
    # After each question, and after the first token of each "no".
    assert sum(scored) == len(LENGTHS) * 2 * len(QUESTIONS)


def test_unscored_tokens_are_part_of_what_names_a_stored_shard() -> None:
    """With the same tokens, scores differ by what is given."""
    loaded, (first, *_) = tiny_loaded(), prompts()
    kept: dict[str, np.ndarray] = {}

    class Shards:
        def get(self, key: str) -> Any:
            return kept.get(key)

        def put(self, key: str, values: Any) -> None:
            kept[key] = values

    scorer = LabelScorer(loaded, engine="naive", shards=Shards())
    given = scorer.score([first], None).log_probs
    everything = scorer.score([first._replace(given=())], None).log_probs
    assert len(kept) == 2
    assert (everything < given - 0.1).all()

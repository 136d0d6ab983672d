"""What the label scorer promises, whichever engine serves it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from sft.errors import ModelError, PromptError
from sft.inference.label_scorer import LabelScorer
from sft.prompting.build import LabelPrompt
from tests.label_scoring import PROMPT_LENGTHS, brute_force, prompts_of
from tests.tiny_models import tiny_loaded


def test_token_counts_leave_the_end_of_turn_out() -> None:
    scores = LabelScorer(tiny_loaded()).score(prompts_of(), end_id=256)
    assert scores.token_counts.tolist() == [[1, 2, 3, 6, 4]] * len(PROMPT_LENGTHS)


def test_scores_follow_their_rows_when_the_rows_are_shuffled() -> None:
    loaded = tiny_loaded("qwen2")
    prompts = prompts_of([3, 3, 12, 5, 8, 3, 20], prefix=20)
    order = list(range(len(prompts)))
    random.Random(1).shuffle(order)
    scorer = LabelScorer(loaded, 4)
    straight = scorer.score(prompts, None).log_probs
    shuffled = scorer.score([prompts[i] for i in order], None).log_probs
    np.testing.assert_allclose(shuffled, straight[order], atol=1e-5, rtol=0)


def test_identical_prompts_are_read_once_and_get_the_same_scores() -> None:
    loaded = tiny_loaded()
    prompts = prompts_of([5, 9])
    repeated = [prompts[i] for i in (0, 1, 0, 0, 1)]
    read: list[int] = []
    loaded.model.model.register_forward_hook(lambda module, args, output: read.append(output[0].shape[1]))
    scores = LabelScorer(loaded, engine="tree").score(repeated, None).log_probs
    once = list(read)
    np.testing.assert_allclose(scores, brute_force(loaded.model, repeated, None), atol=1e-4, rtol=0)
    read.clear()
    LabelScorer(loaded, engine="tree").score(prompts, None)
    assert once == read


def test_a_prompt_without_a_token_is_refused_as_nothing_predicts_the_answers_first() -> None:
    prompts = [LabelPrompt([5], [[1], [2]]), LabelPrompt([], [[1], [2]])]
    with pytest.raises(PromptError, match="no token before its answer"):
        LabelScorer(tiny_loaded()).score(prompts, None)


@pytest.mark.parametrize("engine", ["auto", "tree", "naive"])
def test_scores_that_are_no_numbers_are_an_error_and_no_prediction(engine: str) -> None:
    loaded = tiny_loaded()
    with torch.no_grad():
        loaded.model.lm_head.weight[7] = float("nan")
    with pytest.raises(ModelError, match="no numbers"):
        LabelScorer(loaded, engine=engine).score(prompts_of(), None)  # type: ignore[arg-type]

"""The label scorer against one full forward per row and label, in float64 after the model."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from sft.errors import ModelError, PromptError
from sft.inference.label_scorer import NaiveLabelScorer
from sft.models.load import LoadedModel
from sft.prompting.build import LabelPrompt
from tests.tiny_models import ARCHITECTURES, SLIDING_WINDOW, random_ids, tiny_loaded

# Labels of 1 to 6 tokens; the second begins with the first, the fourth with the third.
LABELS = [[7], [7, 8], [40, 41, 42], [40, 41, 42, 43, 44, 45], [200, 7, 7, 7]]
PROMPT_LENGTHS = (1, 2, 5, 9, 14, 23, 30)


def prompts_of(lengths: Sequence[int] = PROMPT_LENGTHS, labels: list[list[int]] = LABELS) -> list[LabelPrompt]:
    return [LabelPrompt(ids, labels) for ids in random_ids(lengths)]


@torch.no_grad()
def brute_force(model: Any, prompts: Sequence[LabelPrompt], end_id: int | None) -> np.ndarray:
    """S(y|x) by the definition: one row and label at a time, no padding, no mask, all logits."""
    scores = np.zeros((len(prompts), len(prompts[0].labels)))
    for row, prompt in enumerate(prompts):
        for column, label in enumerate(prompt.labels):
            target = label if end_id is None else [*label, end_id]
            ids = [*prompt.prompt, *target]
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
            for position, token in enumerate(target, start=len(prompt.prompt)):
                at = logits[position - 1]
                scores[row, column] += (at[token] - at.logsumexp(dim=0)).item()
    return scores


class OutOfMemoryAbove:
    """A model that runs out of memory with more than `limit` rows, as a small GPU would."""

    def __init__(self, model: Any, limit: int) -> None:
        self._model, self._limit = model, limit
        self.batch_sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def forward(self, *args: Any, logits_to_keep: int = 0, **kwargs: Any) -> Any:
        return self._model(*args, logits_to_keep=logits_to_keep, **kwargs)

    def __call__(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        self.batch_sizes.append(len(input_ids))
        if len(input_ids) > self._limit:
            raise torch.cuda.OutOfMemoryError("simulated")
        return self.forward(input_ids=input_ids, **kwargs)


@pytest.mark.parametrize("ends", [True, False], ids=["with end-of-turn", "without end-of-turn"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_equal_a_brute_force_loop_whatever_the_batch_size(architecture: str, ends: bool) -> None:
    loaded = tiny_loaded(architecture)
    end_id = loaded.tokenizer.eos_token_id if ends else None
    expected = brute_force(loaded.model, prompts_of(), end_id)
    assert expected.std(axis=0).max() > 0.5, "the rows' scores are too alike to tell anything"
    for batch_size in (1, 16, "auto"):
        scores = NaiveLabelScorer(loaded, batch_size).score(prompts_of(), end_id)
        np.testing.assert_allclose(scores.log_probs, expected, atol=1e-4, rtol=0, err_msg=f"batch_size {batch_size}")


def test_the_mistral_prompts_cross_its_sliding_window() -> None:
    assert max(PROMPT_LENGTHS) > 2 * SLIDING_WINDOW


def test_token_counts_leave_the_end_of_turn_out() -> None:
    scores = NaiveLabelScorer(tiny_loaded()).score(prompts_of(), end_id=256)
    assert scores.token_counts.tolist() == [[1, 2, 3, 6, 4]] * len(PROMPT_LENGTHS)


def test_rows_may_have_labels_of_different_tokens() -> None:
    """A boundary token can depend on the prompt, so that the labels' tokens differ from row to row."""
    loaded = tiny_loaded()
    prompts = [LabelPrompt([5, 6], [[1], [2, 3]]), LabelPrompt([5, 6, 9], [[4, 1], [4, 2, 3]])]
    scores = NaiveLabelScorer(loaded).score(prompts, None)
    np.testing.assert_allclose(scores.log_probs, brute_force(loaded.model, prompts, None), atol=1e-4, rtol=0)
    assert scores.token_counts.tolist() == [[1, 2], [2, 3]]


def test_scores_follow_their_rows_when_the_rows_are_shuffled() -> None:
    loaded = tiny_loaded("qwen2")
    prompts = prompts_of([3, 3, 12, 5, 8, 3, 20])
    order = list(range(len(prompts)))
    random.Random(1).shuffle(order)
    scorer = NaiveLabelScorer(loaded, 4)
    straight = scorer.score(prompts, None).log_probs
    shuffled = scorer.score([prompts[i] for i in order], None).log_probs
    np.testing.assert_allclose(shuffled, straight[order], atol=1e-5, rtol=0)


def test_a_padding_token_inside_a_prompt_is_read_like_any_other() -> None:
    loaded = tiny_loaded()
    pad = loaded.tokenizer.pad_token_id
    prompts = [LabelPrompt([4, pad, 5], [[1], [2]]), LabelPrompt([pad], [[1], [2]]), LabelPrompt([9] * 9, [[1], [2]])]
    scores = NaiveLabelScorer(loaded).score(prompts, None).log_probs
    np.testing.assert_allclose(scores, brute_force(loaded.model, prompts, None), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("batch_size", "limit"), [(16, 3), ("auto", 5), (8, 1)])
def test_running_out_of_memory_halves_the_batch_and_loses_no_row(
    batch_size: Any, limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = tiny_loaded()
    expected = NaiveLabelScorer(loaded, 1).score(prompts_of(), None).log_probs
    small = OutOfMemoryAbove(loaded.model, limit)
    wrapped = LoadedModel(small, loaded.tokenizer, loaded.source, None)
    scores = NaiveLabelScorer(wrapped, batch_size).score(prompts_of(), None)
    np.testing.assert_allclose(scores.log_probs, expected, atol=1e-4, rtol=0)
    failed = [size for size in small.batch_sizes if size > limit]
    assert failed == sorted(failed, reverse=True), "a batch grew again after running out of memory"
    assert all(later <= earlier // 2 for earlier, later in itertools.pairwise(failed))
    assert "out of memory" in caplog.text


def test_a_single_sequence_that_does_not_fit_is_an_error() -> None:
    loaded = tiny_loaded()
    wrapped = LoadedModel(OutOfMemoryAbove(loaded.model, 0), loaded.tokenizer, loaded.source, None)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        NaiveLabelScorer(wrapped).score(prompts_of([3]), None)


def test_a_prompt_without_a_token_is_refused_as_nothing_predicts_the_answers_first() -> None:
    prompts = [LabelPrompt([5], [[1], [2]]), LabelPrompt([], [[1], [2]])]
    with pytest.raises(PromptError, match="no token before its answer"):
        NaiveLabelScorer(tiny_loaded()).score(prompts, None)


def test_scores_that_are_no_numbers_are_an_error_and_no_prediction() -> None:
    loaded = tiny_loaded()
    with torch.no_grad():
        loaded.model.lm_head.weight[7] = float("nan")
    with pytest.raises(ModelError, match="no numbers"):
        NaiveLabelScorer(loaded).score(prompts_of(), None)

"""What the label scorer promises, whichever engine serves it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sft.errors import ModelError, PromptError
from sft.inference import label_scorer
from sft.inference.label_scorer import LabelScorer
from sft.inference.shards import ShardFolder
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


RAGGED = [
    [[7], [7, 8, 9]],
    [[40], [41], [42, 43], [40, 44]],
    [[5, 6], [7]],
    [[9], [9, 9], [9, 9, 9]],
    [[1], [2], [3, 3], [4]],
]


def ragged_prompts() -> list[LabelPrompt]:
    """Prompts that partly begin alike, each with labels of its own; two of them differ in their labels only."""
    prompts = [prompt.prompt for prompt in prompts_of([12, 5, 30, 12, 8], prefix=20, stem=20)]
    prompts[3] = prompts[0]
    return [LabelPrompt(prompt, labels) for prompt, labels in zip(prompts, RAGGED, strict=True)]


@pytest.mark.parametrize("ends", [256, None, [256, None, None, 256, None]], ids=["eot", "none", "in some rows"])
@pytest.mark.parametrize(
    ("architecture", "engine"),
    [("llama", "auto"), ("llama", "tree"), ("gpt2", "cache"), ("mamba", "cache_stepwise"), ("llama", "naive")],
)
def test_rows_with_labels_of_their_own_score_as_each_of_them_alone(architecture: str, engine: str, ends: Any) -> None:
    """The slow twin: every label alone after its prompt, in a call of its own."""
    loaded, prompts = tiny_loaded(architecture), ragged_prompts()
    expected = np.full((5, 4), -np.inf)
    for i, prompt in enumerate(prompts):
        for j, label in enumerate(prompt.labels):
            end = ends[i] if isinstance(ends, list) else ends
            expected[i, j] = brute_force(loaded.model, [LabelPrompt(prompt.prompt, [label])], end)[0, 0]
    for batch_size in ("auto", 1, 2):
        scores = LabelScorer(loaded, batch_size, engine).score(prompts, ends)  # type: ignore[arg-type]
        np.testing.assert_allclose(scores.log_probs, expected, atol=1e-4, rtol=0)
        assert [scores.row(i).token_counts.tolist() for i in range(5)] == [list(map(len, each)) for each in RAGGED]


def test_what_a_row_lacks_is_minus_infinity_and_no_token() -> None:
    scores = LabelScorer(tiny_loaded()).score(ragged_prompts(), None)
    lacking = [[j >= len(labels) for j in range(4)] for labels in RAGGED]
    np.testing.assert_array_equal(np.isneginf(scores.log_probs), lacking)
    np.testing.assert_array_equal(scores.token_counts == 0, lacking)


def test_auto_compares_engines_on_rows_with_different_numbers_of_labels() -> None:
    scorer = LabelScorer(tiny_loaded())
    scorer.score(ragged_prompts(), None)
    report = scorer.report()
    assert report["engine"] == "tree"
    assert report["difference"] < 1e-4
    assert report["rejected"] == {}


def test_parts_of_rows_with_different_numbers_of_labels_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_scorer, "_TOKENS_IN_SHARD", 40)
    loaded, prompts = tiny_loaded(), ragged_prompts()
    whole = LabelScorer(loaded).score(prompts, None).log_probs
    kept = LabelScorer(loaded, shards=ShardFolder(tmp_path)).score(prompts, None).log_probs
    widths = {np.load(file).shape[1] for file in tmp_path.glob("*.npy")}
    assert len(widths) > 1
    np.testing.assert_allclose(kept, whole, atol=1e-5, rtol=0)
    again = LabelScorer(loaded, engine="naive", shards=ShardFolder(tmp_path)).score(prompts, None).log_probs
    np.testing.assert_array_equal(again, kept)

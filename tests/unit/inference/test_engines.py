"""Every scoring engine against one full forward per row and label."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model

from sft.inference.engines import EngineOptions, engine_registry
from sft.inference.engines import tree as tree_module
from sft.inference.label_scorer import EngineName, LabelScorer
from sft.inference.unsupported import UnsupportedModelError
from sft.models.load import LoadedModel
from tests.label_scoring import LABELS, PROMPT_LENGTHS, brute_force, prompts_of
from tests.tiny_models import SCORED_ARCHITECTURES, SLIDING_WINDOW, random_ids, tiny_loaded

# What `auto` must find for each architecture.
FAST = (
    "llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "phi3", "gpt2", "opt", "gpt_neox", "gpt_oss", "cohere",
    "granite", "mixtral",
)  # fmt: skip
CACHED = ("bloom", "falcon_alibi", "mpt", "bamba")
STEPWISE = ("jamba", "mamba")
ENGINE_OF = dict.fromkeys(FAST, "tree") | dict.fromkeys(CACHED, "cache") | dict.fromkeys(STEPWISE, "cache_stepwise")
SHAPES = {
    "nothing in common": {},
    "a common prefix": {"prefix": 40},
    "a common prefix, and more in common for some": {"prefix": 40, "stem": 20},
}


def scores(
    loaded: LoadedModel, engine: EngineName, prompts: Any, end_id: int | None = None, batch: Any = "auto"
) -> Any:
    return LabelScorer(loaded, batch, engine).score(prompts, end_id).log_probs


def on_available_devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def test_every_architecture_has_an_engine_that_the_tests_expect() -> None:
    assert sorted(ENGINE_OF) == sorted(SCORED_ARCHITECTURES)


def test_prompts_with_a_prefix_cross_the_sliding_windows_in_the_prefix_and_after_it() -> None:
    assert max(PROMPT_LENGTHS) > 2 * SLIDING_WINDOW


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ends", [True, False], ids=["with end-of-turn", "without end-of-turn"])
@pytest.mark.parametrize("architecture", SCORED_ARCHITECTURES)
def test_scores_equal_a_brute_force_loop_whatever_the_batch_size(architecture: str, ends: bool, shape: str) -> None:
    loaded = tiny_loaded(architecture)
    end_id = loaded.tokenizer.eos_token_id if ends else None
    prompts = prompts_of(**SHAPES[shape])
    expected = brute_force(loaded.model, prompts, end_id)
    assert expected.std(axis=0).max() > 0.5, "the rows' scores are too alike to tell anything"
    scorer = LabelScorer(loaded)
    np.testing.assert_allclose(scorer.score(prompts, end_id).log_probs, expected, atol=1e-4, rtol=0)
    assert scorer.report()["engine"] == ENGINE_OF[architecture], scorer.report()
    for engine, batch_size in itertools.product(("naive", ENGINE_OF[architecture]), (1, 16)):
        have = scores(loaded, engine, prompts, end_id, batch_size)  # type: ignore[arg-type]
        np.testing.assert_allclose(have, expected, atol=1e-4, rtol=0, err_msg=f"{engine}, batch_size {batch_size}")


@pytest.mark.parametrize("device", on_available_devices())
@pytest.mark.parametrize("engine", ["tree", "cache", "cache_stepwise", "naive"])
@pytest.mark.parametrize(
    "labels",
    [[[5]], [[5, 6, 7]], [[5], [6]], [[i % 97, *random_ids([i % 6], seed=i)[0], i] for i in range(150)]],
    ids=["one token", "one label", "two tokens", "150 labels"],
)
def test_few_and_many_labels(labels: list[list[int]], engine: EngineName, device: str) -> None:
    loaded = tiny_loaded()
    loaded.model.to(device)
    prompts = prompts_of([3, 17], labels, prefix=20)
    np.testing.assert_allclose(
        scores(loaded, engine, prompts), brute_force(loaded.model, prompts, None), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("architecture", FAST)
def test_a_model_is_left_as_it_was(architecture: str) -> None:
    loaded = tiny_loaded(architecture)
    ids = torch.tensor(random_ids([12]))
    before, attention = loaded.model(input_ids=ids).logits, loaded.model.config._attn_implementation
    scores(loaded, "tree", prompts_of())
    assert loaded.model.config._attn_implementation == attention
    torch.testing.assert_close(loaded.model(input_ids=ids).logits, before, atol=0, rtol=0)


def test_an_adapter_on_the_model_is_scored_with_it() -> None:
    loaded = tiny_loaded()
    bare = scores(loaded, "tree", prompts_of())
    loaded.model = get_peft_model(loaded.model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    loaded.model.eval()
    expected = brute_force(loaded.model, prompts_of(), None)
    assert np.abs(expected - bare).max() > 0.1
    for engine in ("tree", "cache", "naive"):
        np.testing.assert_allclose(scores(loaded, engine, prompts_of()), expected, atol=1e-4, rtol=0)  # type: ignore[arg-type]


def test_adapters_that_put_virtual_tokens_first_are_not_run_through_the_tree() -> None:
    loaded = tiny_loaded()
    loaded.model = get_peft_model(loaded.model, PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")).eval()
    with pytest.raises(UnsupportedModelError, match="virtual tokens"):
        engine_registry["tree"](loaded, EngineOptions())


@pytest.mark.parametrize("engine", ["cache", "cache_stepwise"])
def test_with_little_memory_few_copies_of_a_cache_are_continued_at_a_time(
    engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tiny_loaded("bloom")
    prompts = prompts_of([9, 9, 12])
    per_label = engine_registry[engine](loaded, EngineOptions())._bytes_per_label(12, 6)
    monkeypatch.setattr("sft.inference.engines.cached.usable_bytes", lambda loaded: 4 * per_label)
    sizes: list[int] = []
    loaded.model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    found = scores(loaded, engine, prompts)
    assert max(sizes) <= 4
    np.testing.assert_allclose(found, brute_force(loaded.model, prompts, None), atol=1e-4, rtol=0)


def test_a_long_prefix_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_loaded("gemma2")
    prompts = prompts_of(prefix=100)
    whole = scores(loaded, "tree", prompts)
    monkeypatch.setattr(tree_module, "tokens_per_pass", lambda loaded: 30)
    np.testing.assert_allclose(scores(loaded, "tree", prompts), whole, atol=1e-5, rtol=0)


def test_groups_with_different_prefixes_reuse_what_these_have_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that lost an in-context example: the instruction is common to all, the examples to each set."""
    loaded = tiny_loaded()
    instruction, one, other = random_ids([30, 60, 80], seed=3)
    prompts = [
        prompt._replace(prompt=instruction + examples + prompt.prompt)
        for examples in (one, other)
        for prompt in prompts_of([9] * 12)
    ]
    monkeypatch.setattr(tree_module, "tokens_per_pass", lambda loaded: 64)
    read: list[int] = []
    pack_chain = tree_module.pack_chain
    monkeypatch.setattr(tree_module, "pack_chain", lambda ids, start: read.append(len(ids)) or pack_chain(ids, start))
    np.testing.assert_allclose(
        scores(loaded, "tree", prompts), brute_force(loaded.model, prompts, None), atol=1e-4, rtol=0
    )
    assert sum(read) == 30 + 60 + 80, "a token of a prefix was read twice"


class OutOfMemoryAbove:
    """A model that runs out of memory with more than `limit` tokens in a forward pass, as a small GPU would."""

    def __init__(self, model: Any, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[int] = []
        forward = model.forward

        @functools.wraps(forward)
        def limited(*args: Any, **kwargs: Any) -> Any:
            tokens = kwargs["input_ids"].numel()
            self.seen.append(tokens)
            if tokens > limit:
                raise torch.cuda.OutOfMemoryError("simulated")
            return forward(*args, **kwargs)

        monkeypatch.setattr(model, "forward", limited)


@pytest.mark.parametrize("batch_size", ["auto", 8])
def test_running_out_of_memory_makes_batches_smaller_and_loses_no_row(
    batch_size: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = tiny_loaded()
    prompts = prompts_of(prefix=100, stem=20)
    expected = scores(loaded, "tree", prompts)
    limit = 60  # the longest row needs 59
    small = OutOfMemoryAbove(loaded.model.model, limit, monkeypatch)
    np.testing.assert_allclose(scores(loaded, "tree", prompts, batch=batch_size), expected, atol=1e-4, rtol=0)
    assert [tokens for tokens in small.seen if tokens > limit], "memory was never short"
    assert small.seen[-1] <= limit
    assert "tokens of a prefix" in caplog.text
    assert "rows in a batch" in caplog.text


def test_a_row_that_does_not_fit_alone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_loaded()
    OutOfMemoryAbove(loaded.model.model, 4, monkeypatch)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        scores(loaded, "tree", prompts_of([9]))


def test_rows_may_have_labels_of_different_tokens() -> None:
    """A boundary token can depend on the prompt, so that the labels' tokens differ from row to row."""
    loaded = tiny_loaded()
    first, second = prompts_of([2, 3])
    prompts = [first._replace(labels=[[1], [2, 3]]), second._replace(labels=[[4, 1], [4, 2, 3]])]
    for engine in ("tree", "cache", "naive"):
        np.testing.assert_allclose(
            scores(loaded, engine, prompts),  # type: ignore[arg-type]
            brute_force(loaded.model, prompts, None),
            atol=1e-4,
            rtol=0,
        )


@pytest.mark.parametrize("engine", ["tree", "cache", "naive"])
def test_a_padding_token_inside_a_prompt_is_read_like_any_other(engine: EngineName) -> None:
    loaded = tiny_loaded()
    pad = loaded.tokenizer.pad_token_id
    prompts = [prompt._replace(prompt=[pad, *prompt.prompt, pad]) for prompt in prompts_of(labels=[[1], [2]])]
    np.testing.assert_allclose(
        scores(loaded, engine, prompts), brute_force(loaded.model, prompts, None), atol=1e-4, rtol=0
    )


def test_the_labels_of_the_cases_are_of_one_to_six_tokens_and_begin_one_another() -> None:
    assert sorted(map(len, LABELS)) == [1, 2, 3, 4, 6]
    assert LABELS[1][:1] == LABELS[0]
    assert LABELS[3][:3] == LABELS[2]

"""Adapters that put vectors before every prompt: scores, generated answers and limits take them into account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sft.config.schema import MethodConfig
from sft.errors import ModelError
from sft.inference.label_scorer import LabelScorer
from sft.models.load import LoadedModel
from sft.pipeline.endpoints import run_experiment
from sft.training.arguments import trainer_config
from sft.training.attach import attach
from sft.training.train import train_adapter
from tests.fakes import labelled_rows, make_config
from tests.label_scoring import prompts_of
from tests.tiny_models import tiny_loaded
from tests.tiny_runs import tiny_run
from tests.unit.inference.test_generate import PROMPTS, generate
from tests.unit.training.test_train import SEQUENCES

METHODS = ("prompt_tuning", "prefix_tuning", "p_tuning", "cartridge")
ARCHITECTURES = ("llama", "gpt2", "gpt_neox", "opt", "bloom", "mistral", "gemma2")


def trained(method: str, architecture: str = "llama") -> LoadedModel:
    """With vectors far from those that it starts with."""
    loaded = tiny_loaded(architecture)
    torch.manual_seed(0)
    loaded.model = attach(loaded.model, MethodConfig(method=method, args={"num_virtual_tokens": 5})).model.eval()
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.5 * torch.randn_like(parameter))
    return loaded


@torch.no_grad()
def logits(loaded: LoadedModel, ids: Sequence[int]) -> torch.Tensor:
    """[tokens, vocabulary], of the transformers model, given the vectors by hand: no padding, no PEFT around it."""
    base, tokens = loaded.base_model, torch.tensor([list(ids)])
    vectors = loaded.model.get_prompt(batch_size=1)
    if isinstance(vectors, torch.Tensor):
        embedded = torch.cat([vectors, base.get_input_embeddings()(tokens)], dim=1)
        output = base(inputs_embeds=embedded, use_cache=False)
    else:
        output = base(input_ids=tokens, past_key_values=vectors)
    result: torch.Tensor = output.logits[0, -len(ids) :].double()
    return result


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("method", METHODS)
def test_labels_are_scored_as_by_the_model_given_the_vectors_by_hand(method: str, architecture: str) -> None:
    loaded = trained(method, architecture)
    prompts = prompts_of()
    expected = np.zeros((len(prompts), len(prompts[0].labels)))
    for row, prompt in enumerate(prompts):
        for column, label in enumerate(prompt.labels):
            log_probs = logits(loaded, [*prompt.prompt, *label])[len(prompt.prompt) - 1 : -1].log_softmax(dim=-1)
            expected[row, column] = log_probs.gather(1, torch.tensor(label)[:, None]).sum()
    scorer = LabelScorer(loaded)
    np.testing.assert_allclose(scorer.score(prompts, None).log_probs, expected, atol=1e-4)
    report = scorer.report()
    assert report["engine"] == "naive"
    assert "puts virtual tokens before the prompt" in report["rejected"]["tree"]


@pytest.mark.parametrize("engine", ["tree", "cache", "cache_stepwise"])
def test_an_engine_that_would_leave_them_out_is_refused_even_where_the_config_names_it(engine: Any) -> None:
    with pytest.raises(ModelError, match=rf"inference\.scorer: '{engine}' can't score this model"):
        LabelScorer(trained("prompt_tuning"), engine=engine).score(prompts_of(), None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("method", METHODS)
def test_prompts_of_any_lengths_are_answered_as_one_by_one(method: str, architecture: str) -> None:
    loaded = trained(method, architecture)
    expected = []
    for prompt in PROMPTS + PROMPTS[::-1]:
        ids = list(prompt)
        for _ in range(6):
            ids.append(int(logits(loaded, ids)[-1].argmax()))
            if ids[-1] == loaded.tokenizer.eos_token_id:
                break
        expected.append(loaded.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True).strip())
    assert generate(loaded, PROMPTS + PROMPTS[::-1], max_new_tokens=6) == expected


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_prompts_leave_room_for_them(method: str, tmp_path: Path) -> None:
    """The tiny models have 512 positions, and GPT-2's are learned: one too many is an error deep inside."""
    long = [{**row, "text": "x" * 600} for row in labelled_rows(2)]
    config = tiny_run(
        tmp_path, architecture="gpt2", train=long, test=long, lora=None, dataset={"deduplicate": False},
        adapter={"method": method, "args": {"num_virtual_tokens": 30}},
    )  # fmt: skip
    record = run_experiment(config, tmp_path / "results").record
    assert record.training is not None
    assert record.training["truncation"]["prompts_with_shortened_input"] == 6
    assert record.inference["truncation"]["prompts_with_shortened_input"] == 6


@pytest.mark.parametrize("method", ["prefix_tuning", "cartridge"])
def test_a_virtual_cache_is_trained_without_gradient_checkpointing(method: str, tmp_path: Path) -> None:
    """With it, layers get no cache, so that the adapter isn't part of what is trained."""
    config = make_config(training={"trainer_args": {"max_steps": 2, "gradient_checkpointing": True}})
    args = trainer_config(config, tmp_path, keep_checkpoints=False)
    loaded = tiny_loaded()
    spec = MethodConfig(method=method, args={"num_virtual_tokens": 4})
    train_adapter(loaded, spec, args, SEQUENCES)
    assert not loaded.base_model.is_gradient_checkpointing

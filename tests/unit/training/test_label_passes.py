"""Labels read with gradients: the values and gradients of a naive sequence per label, and the scores of inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from sft.config.schema import MethodConfig
from sft.inference.label_scorer import LabelScorer
from sft.inference.label_tree import label_tree
from sft.inference.shared_prefixes import ScoringRow, scoring_row
from sft.models.load import LoadedModel
from sft.prompting.build import LabelPrompt
from sft.training.attach import attach
from sft.training.label_passes import LabelPass, PlainPass, TreePass, choose_pass
from tests.fakes import byte_tokenizer
from tests.label_scoring import LABELS, brute_force, prompts_of
from tests.tiny_models import SCORED_ARCHITECTURES, random_ids, tiny_loaded, tiny_model

END = 3
# Of the largest number in the gradient of a tensor. (In float32, two ways to batch the plain pass differ as much.)
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-6}
# Rows that share nothing, that share a stem, that are the same, and one that goes on where another ends.
PROMPTS = prompts_of((5, 14, 9, 30), prefix=20, stem=18)
PROMPTS += [PROMPTS[1], LabelPrompt([*PROMPTS[0].prompt, 5, 6], LABELS), LabelPrompt(random_ids([4], 9)[0], LABELS)]


def rows_of(prompts: Sequence[LabelPrompt] = PROMPTS, end: int | None = END) -> list[ScoringRow]:
    return [scoring_row(np.array(p.prompt, dtype=np.int64), label_tree(p.labels, end)) for p in prompts]


def naive(model: Any, rows: Sequence[ScoringRow]) -> torch.Tensor:
    """By the definition: one sequence per label without padding, plain autograd, nothing of the package."""
    n_labels = len(rows[0].tree.labels)
    result = torch.zeros(
        len(rows), n_labels, max(len(label) for row in rows for label in row.tree.labels), dtype=model.dtype
    )
    cells = []
    for i, row in enumerate(rows):
        for j, label in enumerate(row.tree.labels):
            ids = torch.tensor([[*row.prompt.tolist(), *label]])
            log_probs = model(input_ids=ids, use_cache=False).logits[0].log_softmax(dim=-1)
            for k, token in enumerate(label):
                cells.append(((i, j, k), log_probs[len(row.prompt) - 1 + k, token]))
    for cell, value in cells:
        result = result.index_put(tuple(torch.tensor(c) for c in cell), value)
    return result


def weighted(log_probs: torch.Tensor) -> torch.Tensor:
    """A loss in which every token of every label has a weight of its own."""
    generator = torch.Generator().manual_seed(3)
    return (log_probs * torch.randn(log_probs.shape, generator=generator)).sum()


def with_lora(architecture: str, *, tied: bool = True) -> LoadedModel:
    """LoRA after some steps: both factors are random numbers."""
    model = tiny_model(architecture, byte_tokenizer())
    if not tied:
        model.get_output_embeddings().weight = torch.nn.Parameter(model.get_input_embeddings().weight.detach().clone())
    loaded = tiny_loaded(architecture, model=model)
    torch.manual_seed(0)
    loaded.model = attach(model, MethodConfig(method="lora", args={"r": 4, "target_modules": "all-linear"})).model
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1)
    return loaded


def gradients(loaded: LoadedModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    loaded.model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in loaded.model.named_parameters() if p.grad is not None}


def assert_close(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert len(found) > 4
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, gradient in wanted.items():
        scale = float(gradient.abs().max())
        if scale < 1e-6 * largest:  # rounding alone: where there are no rotations, a bias of all keys changes nothing
            assert float(found[name].abs().max()) < 1e-6 * largest
        else:
            atol = ROUNDING[gradient.dtype] * scale
            torch.testing.assert_close(found[name], gradient, atol=atol, rtol=1e-6, msg=name)


# transformers' own attention over padded rows gives no numbers in float64 for Gemma 2.
@pytest.mark.parametrize(
    ("make", "dtype"), [(TreePass, torch.float64), (TreePass, torch.float32), (PlainPass, torch.float32)], ids=str
)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2", "gpt2"])
def test_values_and_gradients_are_those_of_a_sequence_per_label(
    architecture: str, tied: bool, make: Any, dtype: torch.dtype
) -> None:
    loaded = with_lora(architecture, tied=tied)
    loaded.model.to(dtype).train()
    rows = rows_of()
    expected = naive(loaded.model, rows)
    wanted = gradients(loaded, weighted(expected))
    label_pass: LabelPass = make(loaded)
    with label_pass.in_use():
        found = label_pass(loaded.model, rows)
        gradient = gradients(loaded, weighted(found))
    atol = 1e-6 * float(expected.detach().abs().max())
    torch.testing.assert_close(found, expected.detach(), atol=atol, rtol=1e-6)
    assert_close(gradient, wanted)


@pytest.mark.parametrize("architecture", ["gpt_oss", "gemma3", "mistral", "opt"])
def test_sinks_windows_and_learned_positions_have_their_gradients_too(architecture: str) -> None:
    loaded = tiny_loaded(architecture)
    if architecture != "gpt_oss":  # whose experts take no float64
        loaded.model.double()
    rows = rows_of()
    wanted = gradients(loaded, weighted(naive(loaded.model, rows)))
    tree = TreePass(loaded)
    with tree.in_use():
        assert_close(gradients(loaded, weighted(tree(loaded.model, rows))), wanted)


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_recomputed_activations_give_the_same_gradients(architecture: str) -> None:
    loaded = with_lora(architecture)
    rows, tree = rows_of(), TreePass(loaded)
    with tree.in_use():
        wanted = gradients(loaded, weighted(tree(loaded.model, rows)))
    loaded.base_model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    loaded.base_model.enable_input_require_grads()
    loaded.model.train()
    with tree.in_use():
        assert_close(gradients(loaded, weighted(tree(loaded.model, rows))), wanted)


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_attention_is_dropped_out_in_training_alone(architecture: str) -> None:
    loaded = tiny_loaded(architecture)
    for module in loaded.model.modules():
        for name in ("attention_dropout", "attn_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.5)
            elif isinstance(getattr(module, name, None), torch.nn.Dropout):
                getattr(module, name).p = 0.5
    rows, tree = rows_of(), TreePass(loaded)
    with tree.in_use(), torch.no_grad():
        evaluated = [tree(loaded.model, rows) for _ in range(2)]
        loaded.model.train()
        trained = [tree(loaded.model, rows) for _ in range(2)]
    assert torch.equal(*evaluated)
    assert not torch.allclose(trained[0], trained[1], atol=1e-2)
    assert not torch.allclose(trained[0], evaluated[0], atol=1e-2)


@pytest.mark.parametrize("end", [None, END])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_sums_are_the_scores_of_inference(architecture: str, end: int | None) -> None:
    loaded = with_lora(architecture)
    scores = LabelScorer(loaded, engine="tree").score(PROMPTS, end).log_probs
    np.testing.assert_allclose(scores, brute_force(loaded.model, PROMPTS, end), atol=1e-4)
    tree = TreePass(loaded)
    with tree.in_use(), torch.no_grad():
        found = tree(loaded.model, rows_of(end=end)).sum(dim=-1)
    np.testing.assert_allclose(found.numpy(), scores, atol=1e-4)


@pytest.mark.parametrize("architecture", SCORED_ARCHITECTURES)
def test_the_pass_that_is_chosen_is_right(architecture: str) -> None:
    loaded = tiny_loaded(architecture)
    rows = rows_of()
    before = loaded.base_model.config._attn_implementation
    chosen, reason = choose_pass(loaded, rows)
    assert reason
    assert loaded.base_model.config._attn_implementation == before
    with chosen.in_use(), torch.no_grad():
        found = chosen(loaded.model, rows).sum(dim=-1)
    np.testing.assert_allclose(found.numpy(), brute_force(loaded.model, PROMPTS, END), atol=2e-4)
    unreadable = ("bloom", "mamba", "falcon_alibi", "mpt", "bamba", "jamba")
    assert chosen.name == ("naive" if architecture in unreadable else "tree"), reason


def test_a_label_whose_start_is_another_is_read_with_it() -> None:
    tree = TreePass(tiny_loaded())
    (row,) = rows_of(PROMPTS[:1], None)
    inner_nodes = {tuple(label[:n]) for label in LABELS for n in range(1, len(label))}
    assert tree.tokens(row) == len(row.prompt) + len(inner_nodes) < 2 * len(row.prompt)
    assert PlainPass(tiny_loaded()).tokens(row) == sum(len(row.prompt) + len(label) - 1 for label in LABELS)


def test_virtual_tokens_are_read_in_the_plain_way() -> None:
    loaded = tiny_loaded()
    loaded.model = attach(loaded.model, MethodConfig(method="prompt_tuning", args={"num_virtual_tokens": 3})).model
    chosen, reason = choose_pass(loaded, rows_of())
    assert (chosen.name, "virtual tokens" in reason) == ("naive", True)
    with chosen.in_use(), torch.no_grad():
        found = chosen(loaded.model, rows_of()).sum(dim=-1)
    expected = LabelScorer(loaded, engine="naive").score(PROMPTS, END).log_probs
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)

"""What a step keeps, counted without data, is what is kept; micro-batches follow from it."""

from __future__ import annotations

import gc
import random
import weakref
from typing import Any

import peft
import pytest
import torch

from sft.inference.backbone import attending
from sft.prompting.labelled import IGNORED, LabelledIds
from sft.training.fast import documents
from sft.training.fast.documents import Documents
from sft.training.fast.fit import fitting, most_tokens
from sft.training.fast.lora import fused, fusible_layers
from sft.training.fast.memory import ActivationSize, activation_size, step_memory
from tests.fakes import byte_tokenizer
from tests.tiny_models import tiny_model


def adapted(architecture: str = "llama") -> Any:
    config = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    return peft.get_peft_model(tiny_model(architecture, byte_tokenizer()), config)


def kept_by_hand(model: Any, tokens: int) -> int:
    """Bytes of all different storages that autograd keeps, of weights apart."""
    storages: dict[int, torch.Tensor] = {}
    weights = {p.data_ptr() for p in (*model.parameters(), *model.buffers())}
    starts = torch.tensor([0, tokens], dtype=torch.int32)
    layers, _ = fusible_layers(model)
    with (
        fused(layers),
        attending(model.get_base_model(), documents.NAME),
        torch.autograd.graph.saved_tensors_hooks(
            lambda t: storages.setdefault(t.untyped_storage().data_ptr(), t), lambda t: t
        ),
    ):
        output = model(
            input_ids=torch.zeros(1, tokens, dtype=torch.long),
            position_ids=torch.arange(tokens)[None],
            documents=Documents((tokens,), starts, tokens),
            use_cache=False,
            logits_to_keep=1,
        )
        assert output.logits.shape[1] == 1
        return sum(t.untyped_storage().nbytes() for pointer, t in storages.items() if pointer not in weights)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt_neox"])
def test_kept_activations_are_counted(architecture: str) -> None:
    model = adapted(architecture)
    size = activation_size(model, compiled=False)
    assert size.kept * 256 == pytest.approx(kept_by_hand(model.train(), 256), rel=0.02)
    # It grows with the tokens, but for what is there once.
    assert kept_by_hand(model, 512) == pytest.approx(512 * size.kept, rel=0.1)
    assert (size.layers, size.inputs) == (2, 2 * 32 * 4)
    assert all(p.grad is None for p in model.parameters())


def test_tensors_without_data_count_alike() -> None:
    real = activation_size(adapted().to(torch.bfloat16), compiled=False)
    model = adapted().to(torch.bfloat16).to("meta")
    empty = activation_size(model, compiled=False)
    # Those stand for a GPU, whose attention kernel keeps other tensors than a CPU's does.
    assert empty.kept == pytest.approx(real.kept, rel=0.2)
    compiled = activation_size(model, compiled=True)
    assert 0.5 * empty.kept < compiled.kept < empty.kept


def test_counting_leaves_nothing_behind() -> None:
    model = adapted()
    activation_size(model, compiled=False)
    references = [weakref.ref(parameter) for parameter in model.parameters()]
    del model
    gc.collect()
    assert not any(reference() is not None for reference in references)


def test_the_memory_of_a_step_is_the_sum_of_its_parts() -> None:
    model = adapted()
    size = ActivationSize(kept=1000.0, largest=100.0, inputs=200.0, layers=2)
    plain = step_memory(model, size, tokens=50, answers=3, checkpointing=False)
    weights = sum(p.numel() for p in model.parameters()) * 4
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert (plain.weights, plain.trained, plain.activations) == (weights, trained * (4 + 8), 50_000)
    assert plain.passing == 3 * 100 * 50 + 18 * 3 * model.config.vocab_size
    assert plain.total == plain.weights + plain.trained + plain.activations + plain.passing
    checkpointed = step_memory(model, size, tokens=50, answers=3, checkpointing=True)
    assert checkpointed.activations == 50 * (200 + 1000 // 2)


def test_the_longest_batch_is_the_likely_one() -> None:
    lengths = [100] * 50 + [300] * 50
    assert most_tokens(lengths, 100) == 100 * 200  # all of them
    assert most_tokens(lengths, 1) == 300
    assert most_tokens(lengths, 64) == 64 * 200 + 3 * 100 * 8
    generator = random.Random(0)
    drawn = [sum(generator.sample(lengths, 64)) for _ in range(2000)]
    assert sum(tokens > most_tokens(lengths, 64) for tokens in drawn) <= 4


def rows(*lengths: int) -> list[LabelledIds]:
    return [LabelledIds([5] * n, [IGNORED] * (n - 2) + [5, 5]) for n in lengths]


def test_batches_are_divided_and_layers_computed_again_as_memory_asks() -> None:
    model = adapted()
    size = ActivationSize(kept=1e6, largest=1e4, inputs=1e4, layers=100)
    lengths = [5000, 5000, 4000, 3000, 2000, 1000, 1000, 1000]

    def chosen(gigabytes: float, checkpointing: bool | None = None) -> tuple[int, bool]:
        fit = fitting(model, size, rows(*lengths), batch=8, free=int(gigabytes * 1e9), checkpointing=checkpointing)
        return fit.parts, fit.checkpointing

    # 22 000 tokens at 1 MB and 30 KB of gradients, of nine tenths of what is free.
    assert chosen(26) == (1, False)
    assert chosen(24) == (2, False)  # the longest four have 17 000
    assert chosen(13) == (4, False)
    assert chosen(6.5) == (8, False)
    assert chosen(5.0) == (1, True)  # single rows don't fit, and what layers keep does
    assert chosen(24, checkpointing=True) == (1, True)
    assert chosen(0.6) == (4, True)  # 10 000 tokens at 50 KB
    assert chosen(3, checkpointing=False) == (8, False)  # it won't fit; running out of memory says so
    # Where parts would be small, layers are computed again instead.
    short = fitting(model, size, rows(*[500] * 8), batch=8, free=int(3e9))
    assert (short.parts, short.checkpointing) == (1, True)


def test_the_memory_of_a_batch_does_not_hang_on_the_order_of_the_rows() -> None:
    model = adapted()
    size = ActivationSize(kept=1e6, largest=1e4, inputs=1e4, layers=100)
    for lengths in ([5000, 5000, 100, 100], [100, 100, 5000, 5000]):
        fit = fitting(model, size, rows(*lengths), batch=2, free=int(7e9), checkpointing=False)
        assert fit.parts == 2
        assert fit.memory.activations == 5000 * 1e6

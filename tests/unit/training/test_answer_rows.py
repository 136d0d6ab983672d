"""The loss over answers only is the full one, value and gradients, and nothing else is projected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import trl.trainer.utils as trl_utils
from trl.kernels import ChunkedLogProbFunction

from sft.prompting.labelled import IGNORED
from sft.training.answer_rows import project_answers_only
from tests.fakes import byte_tokenizer
from tests.tiny_models import random_ids, tiny_loaded, tiny_model
from tests.unit.training.test_train import SEQUENCES, train

PROMPTS, LENGTHS = (5, 11, 12, 1), (7, 12, 20, 9)


def batch() -> dict[str, torch.Tensor]:
    ids = [torch.tensor(row) for row in random_ids(LENGTHS)]
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    labels = padded.clone()
    for row, (n_prompt, length) in enumerate(zip(PROMPTS, LENGTHS, strict=True)):
        labels[row, :n_prompt] = IGNORED
        labels[row, length:] = IGNORED
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return {"input_ids": padded, "labels": labels, "attention_mask": mask.long()}


def with_fused_head(architecture: str, *, tied: bool) -> Any:
    model = tiny_model(architecture, byte_tokenizer())
    if not tied:
        model.get_output_embeddings().weight = torch.nn.Parameter(model.get_input_embeddings().weight.detach().clone())
    trl_utils.add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    return model


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2", "gpt2"])
def test_loss_and_gradients_are_those_of_all_logits(architecture: str, tied: bool) -> None:
    inputs = batch()
    ours, plain = with_fused_head(architecture, tied=tied), with_fused_head(architecture, tied=tied)
    project_answers_only(ours)
    outputs = ours(**inputs, fused_lm_head=True)
    (-outputs.log_probs.sum()).backward()
    logits = plain(**{k: v for k, v in inputs.items() if k != "labels"}).logits[:, :-1]
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), inputs["labels"][:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )
    expected.backward()
    answer_tokens = sum(length - max(1, n_prompt) for length, n_prompt in zip(LENGTHS, PROMPTS, strict=True))
    assert outputs.log_probs.shape == (1, answer_tokens)
    assert outputs.label_mask.sum() == answer_tokens
    torch.testing.assert_close(-outputs.log_probs.sum(), expected, atol=1e-6, rtol=1e-6)
    wanted, found = gradients(plain), gradients(ours)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6 * float(gradient.abs().max()), rtol=1e-5)


def test_a_batch_without_an_answer_gives_a_loss_of_zero_and_no_gradient() -> None:
    model = with_fused_head("llama", tied=True)
    project_answers_only(model)
    inputs = batch()
    inputs["labels"] = torch.full_like(inputs["labels"], IGNORED)
    outputs = model(**inputs, fused_lm_head=True)
    outputs.log_probs.sum().backward()
    assert outputs.log_probs.sum() == 0
    assert all(float(gradient.abs().max()) == 0 for gradient in gradients(model).values())


def test_without_the_fused_head_the_model_is_as_it_was() -> None:
    model, plain = with_fused_head("llama", tied=True), tiny_model("llama", byte_tokenizer())
    project_answers_only(model)
    inputs = batch()
    torch.testing.assert_close(model(**inputs).logits, plain(**inputs).logits, atol=0, rtol=0)
    torch.testing.assert_close(model(**inputs).loss, plain(**inputs).loss, atol=0, rtol=0)


@pytest.mark.parametrize("arguments", [{"batches": "padded"}, {"packing": True, "max_length": 64}])
@pytest.mark.parametrize("modules_to_save", [None, ["lm_head"]])
def test_a_training_projects_the_answers_tokens_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], modules_to_save: list[str] | None
) -> None:
    projected = []

    class Counting(ChunkedLogProbFunction):
        @staticmethod
        def forward(ctx: Any, hidden: torch.Tensor, *rest: Any) -> Any:
            projected.append(len(hidden))
            return ChunkedLogProbFunction.forward(ctx, hidden, *rest)

    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", Counting)
    lora = {"r": 4, "modules_to_save": modules_to_save}
    summary = train(
        tiny_loaded(), tmp_path, lora=lora, max_steps=-1, num_train_epochs=1, per_device_train_batch_size=4, **arguments
    )
    assert sum(projected) == summary.answer_tokens == sum(len(s.ids) - s.n_prompt for s in SEQUENCES)

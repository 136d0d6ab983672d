"""Training with an objective over labels: the loss is the one computed by hand, over rows, however they are batched."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sft.config.schema import MethodConfig
from sft.models.load import LoadedModel
from sft.prompting.build import LabelPrompt
from sft.training.arguments import trainer_config
from sft.training.even_epochs import NO_ROW, ROW
from sft.training.label_loss import LabelledRow, LabelLoss, LabelTraining
from sft.training.train import TrainingSummary, train_adapter
from tests.fakes import make_config
from tests.label_scoring import LABELS, brute_force
from tests.tiny_models import random_ids, tiny_loaded

EOT = 3
RIGHT = (0, 3, 2, 4, 1)
PROMPTS = [LabelPrompt(ids, LABELS) for ids in random_ids([7, 12, 20, 31, 5])]
TEXTS = tuple(f" label {i}" for i in range(len(LABELS)))
CROSS_ENTROPY = MethodConfig(method="label_cross_entropy")


def training(objective: MethodConfig = CROSS_ENTROPY, end: int | None = EOT) -> LabelTraining:
    rows = [LabelledRow(prompt, right) for prompt, right in zip(PROMPTS, RIGHT, strict=True)]
    return LabelTraining(objective, rows, TEXTS, end, EOT)


def train(
    loaded: LoadedModel, folder: Path, labels: LabelTraining, *, resume_from: Path | None = None, **trainer_args: Any
) -> TrainingSummary:
    arguments = {"max_steps": 1, "logging_steps": 1, "per_device_train_batch_size": 5, **trainer_args}
    keeps = "save_steps" in trainer_args
    args = trainer_config(make_config(training={"trainer_args": arguments}), folder, keep_checkpoints=keeps)
    lora = MethodConfig(method="lora", args={"r": 4, "target_modules": "all-linear"})
    return train_adapter(loaded, lora, args, labels.sequences(), labels=labels, resume_from=resume_from)


def weights(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in loaded.model.named_parameters() if "lora_" in name}


def mean_cross_entropy(model: Any, end: int | None) -> float:
    """Over rows, by the definition: minus the log of the right label's share of the labels' probabilities."""
    losses = []
    for row, right in zip(brute_force(model, PROMPTS, end).tolist(), RIGHT, strict=True):
        losses.append(math.log(sum(math.exp(score) for score in row)) - row[right])
    return sum(losses) / len(losses)


@torch.no_grad()
def mean_tfew(model: Any, end: int | None) -> float:
    losses = []
    for prompt, right in zip(PROMPTS, RIGHT, strict=True):
        each = []
        ends = [] if end is None else [end]
        for target in [*([*label, *ends] for label in LABELS), [*LABELS[right], EOT]]:
            logits = model(input_ids=torch.tensor([[*prompt.prompt, *target]])).logits[0].double().log_softmax(dim=-1)
            each.append([logits[len(prompt.prompt) - 1 + i, token].item() for i, token in enumerate(target)])
        *labels, answer = each
        wrong = [x for i, xs in enumerate(labels) if i != right for x in xs]
        means = [sum(xs) / len(label) for xs, label in zip(labels, LABELS, strict=True)]
        losses.append(
            -sum(answer) / len(answer)
            - sum(math.log(1 - math.exp(x)) for x in wrong) / len(wrong)
            + math.log(sum(map(math.exp, means)))
            - means[right]
        )
    return sum(losses) / len(losses)


@pytest.mark.parametrize("end", [EOT, None])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bloom"])
def test_the_first_loss_is_the_mean_over_rows(architecture: str, end: int | None, tmp_path: Path) -> None:
    loaded = tiny_loaded(architecture)
    expected = mean_cross_entropy(loaded.model, end)
    summary = train(loaded, tmp_path, training(end=end))
    assert summary.log[0]["loss"] == pytest.approx(expected, rel=1e-5)
    assert summary.objective["labels_read_by"] == ("naive" if architecture == "bloom" else "tree")


@pytest.mark.parametrize("end", [EOT, None])
def test_the_first_loss_of_tfew_is_the_papers(end: int | None, tmp_path: Path) -> None:
    loaded = tiny_loaded()
    expected = mean_tfew(loaded.model, end)
    summary = train(loaded, tmp_path, training(MethodConfig(method="tfew"), end))
    assert summary.log[0]["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", ["label_cross_entropy", "tfew"])
@pytest.mark.parametrize(("batch_size", "accumulated"), [(2, 3), (1, 5), (4, 2)])
def test_a_step_is_the_same_however_its_rows_are_batched(
    method: str, batch_size: int, accumulated: int, tmp_path: Path
) -> None:
    """The last batch of the step is smaller than the others: a mean of means would be another."""
    found = []
    for size, steps in ((5, 1), (batch_size, accumulated)):
        loaded = tiny_loaded()
        arguments = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps}
        summary = train(
            loaded, tmp_path, training(MethodConfig(method=method)), optim="sgd", learning_rate=0.5, **arguments
        )
        found.append((summary.loss, weights(loaded)))
    (whole, expected), (parts, result) = found
    assert parts == pytest.approx(whole, rel=1e-5)
    assert any(float(weight.abs().max()) > 0 for name, weight in expected.items() if "lora_B" in name)
    for name, weight in expected.items():
        torch.testing.assert_close(result[name], weight, atol=1e-5, rtol=1e-4)


def test_rows_are_counted_for_a_model_whose_own_loss_takes_no_count(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    loaded.model.accepts_loss_kwargs = False
    expected = mean_cross_entropy(loaded.model, EOT)
    arguments = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3}
    assert train(loaded, tmp_path, training(), **arguments).loss == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("method", ["label_cross_entropy", "tfew"])
def test_a_row_that_fills_an_epoch_adds_nothing(method: str) -> None:
    loaded = tiny_loaded()
    loss = LabelLoss(training(MethodConfig(method=method)), loaded)

    def total(*rows: int) -> float:
        return float(loss.sum(loaded.model, loss.collate([{ROW: row} for row in rows])))

    with loss.in_use():
        assert total(1, NO_ROW, 2, NO_ROW) == pytest.approx(total(1, 2), rel=1e-5)
        assert total(NO_ROW) == 0.0


@pytest.mark.parametrize("method", ["label_cross_entropy", "tfew"])
def test_training_learns_the_labels_and_leaves_attention_as_it_was(method: str, tmp_path: Path) -> None:
    loaded = tiny_loaded()
    attention = loaded.base_model.config._attn_implementation
    before = mean_cross_entropy(loaded.model, EOT)
    labels = training(MethodConfig(method=method))
    train(loaded, tmp_path, labels, max_steps=40, learning_rate=0.02, logging_steps=40)
    assert mean_cross_entropy(loaded.model, EOT) < min(0.2, before / 2)
    assert brute_force(loaded.model, PROMPTS, EOT).argmax(axis=1).tolist() == list(RIGHT)
    assert loaded.base_model.config._attn_implementation == attention
    assert not loaded.model.training


def test_recomputed_activations_change_nothing(tmp_path: Path) -> None:
    losses = []
    for recompute in (False, True):
        summary = train(
            tiny_loaded(), tmp_path, training(), max_steps=3, learning_rate=0.02, gradient_checkpointing=recompute
        )
        losses.append([entry["loss"] for entry in summary.log if "loss" in entry])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_a_resumed_training_ends_as_one_that_wasnt_stopped(tmp_path: Path) -> None:
    arguments = {"max_steps": 4, "per_device_train_batch_size": 2, "learning_rate": 0.02, "save_steps": 2}
    arguments["save_strategy"] = "steps"
    whole, resumed = tiny_loaded(), tiny_loaded()
    train(whole, tmp_path, training(), **arguments)
    train(resumed, tmp_path / "again", training(), resume_from=tmp_path / "checkpoint-2", **arguments)
    expected = weights(whole)
    for name, weight in weights(resumed).items():
        torch.testing.assert_close(weight, expected[name], atol=1e-6, rtol=1e-5)


def test_a_training_that_is_over_has_no_step_left(tmp_path: Path) -> None:
    """It may have been stopped after its last step; epochs of three steps don't end with that one."""
    loaded = tiny_loaded()
    arguments = {"max_steps": 4, "save_steps": 4, "learning_rate": 0.02, "per_device_train_batch_size": 2}
    train(loaded, tmp_path, training(), **arguments)
    resumed = tiny_loaded()
    summary = train(resumed, tmp_path, training(), resume_from=tmp_path / "checkpoint-4", **arguments)
    assert summary.steps == 4
    assert all(torch.equal(weight, weights(loaded)[name]) for name, weight in weights(resumed).items())


def test_the_summary_says_what_was_minimised_and_read(tmp_path: Path) -> None:
    labels = training(MethodConfig(method="tfew", args={"unlikelihood": 0.5}), None)
    summary = train(tiny_loaded(), tmp_path, labels, max_steps=-1, num_train_epochs=2, per_device_train_batch_size=2)
    assert (summary.sequences, summary.steps, summary.epochs) == (5, 6, 2.0)
    assert summary.answer_tokens == sum(len(LABELS[right]) + 1 for right in RIGHT)
    assert summary.tokens == summary.answer_tokens + sum(len(prompt.prompt) for prompt in PROMPTS)
    inner = {tuple(label[:n]) for label in LABELS for n in range(1, len(label))}
    read = sum(
        len(prompt.prompt) + len(inner | {tuple(LABELS[right][:n]) for n in range(1, len(LABELS[right]) + 1)})
        for prompt, right in zip(PROMPTS, RIGHT, strict=True)
    )
    reported = {**summary.objective, "reason": ""}
    assert reported == {
        "method": "tfew", "args": {"unlikelihood": 0.5}, "labels_read_by": "tree", "reason": "", "tokens_read": read
    }  # fmt: skip
    assert summary.objective["reason"]

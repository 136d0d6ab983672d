"""Training a tiny model: the loss is the one computed by hand, seeds decide everything, nonsense is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sft.adapters import AdapterMethod, adapter_registry
from sft.config.schema import MethodConfig
from sft.errors import TrainingError
from sft.models.load import LoadedModel
from sft.prompting.build import TrainingSequence
from sft.training.arguments import trainer_config
from sft.training.train import TrainingSummary, train_adapter
from tests.fakes import make_config
from tests.tiny_models import random_ids, tiny_loaded

# Prompts and answers of different lengths, so that a mean over rows isn't one over tokens.
SEQUENCES = [
    TrainingSequence(ids, n_prompt) for ids, n_prompt in zip(random_ids([7, 12, 20, 31]), (5, 11, 12, 20), strict=True)
]


def train(
    loaded: LoadedModel,
    folder: Path,
    sequences: Sequence[TrainingSequence] = SEQUENCES,
    *,
    seed: int = 13,
    lora: dict[str, Any] | None = None,
    method: str = "lora",
    batches: str = "auto",
    **trainer_args: Any,
) -> TrainingSummary:
    arguments = {"max_steps": 3, "logging_steps": 1, "per_device_train_batch_size": 2, **trainer_args}
    config = make_config(training={"trainer_args": arguments, "batches": batches}, seed=seed)
    args = trainer_config(config, folder, keep_checkpoints=False)
    adapter = MethodConfig(method=method, args={"r": 4} if lora is None else lora)
    return train_adapter(loaded, adapter, args, sequences, config=config.training)


@torch.no_grad()
def mean_cross_entropy(model: Any, sequences: Sequence[TrainingSequence], *, answers_only: bool = True) -> float:
    """Over all tokens of all sequences alike, each sequence on its own."""
    losses = []
    for ids, n_prompt in sequences:
        log_probs = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
        first = n_prompt if answers_only else 1
        losses += [-log_probs[position - 1, ids[position]].item() for position in range(first, len(ids))]
    return sum(losses) / len(losses)


def adapter_weights(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in loaded.model.named_parameters() if "lora_" in name}


@pytest.mark.parametrize("answers_only", [True, False])
@pytest.mark.parametrize("batch_size", [4, 2, 1])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_first_loss_is_the_mean_cross_entropy_over_the_answers_tokens(
    architecture: str, batch_size: int, answers_only: bool, tmp_path: Path
) -> None:
    loaded = tiny_loaded(architecture)
    expected = mean_cross_entropy(loaded.model, SEQUENCES, answers_only=answers_only)
    other = mean_cross_entropy(loaded.model, SEQUENCES, answers_only=not answers_only)
    assert abs(expected - other) > 0.05
    summary = train(
        loaded,
        tmp_path,
        max_steps=1,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=4 // batch_size,
        completion_only_loss=None if answers_only else False,
    )
    assert summary.log[0]["loss"] == pytest.approx(expected, abs=1e-4)


def test_completion_only_loss_may_be_said_explicitly(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    expected = mean_cross_entropy(loaded.model, SEQUENCES)
    summary = train(loaded, tmp_path, max_steps=1, per_device_train_batch_size=4, completion_only_loss=True)
    assert summary.log[0]["loss"] == pytest.approx(expected, abs=1e-4)


def test_packed_sequences_have_the_loss_of_separate_ones_on_llama(tmp_path: Path) -> None:
    """Each in-context token of a neighbour that leaked in would change it."""
    loaded = tiny_loaded()
    expected = mean_cross_entropy(loaded.model, SEQUENCES)
    summary = train(loaded, tmp_path, max_steps=1, per_device_train_batch_size=1, packing=True, max_length=70)
    assert summary.log[0]["loss"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("arguments", [{"packing": True, "max_length": 70}, {"padding_free": True}])
@pytest.mark.parametrize("architecture", ["gpt2", "opt", "bloom"])
def test_packing_is_refused_where_examples_would_see_one_another(
    architecture: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=f"see one another on {architecture} models"):
        train(tiny_loaded(architecture), tmp_path, **arguments)


def test_training_fits_what_it_is_shown_and_leaves_the_base_alone(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    before = {name: p.detach().clone() for name, p in loaded.model.named_parameters()}
    first = mean_cross_entropy(loaded.model, SEQUENCES)
    summary = train(loaded, tmp_path, max_steps=30, learning_rate=0.02)
    assert mean_cross_entropy(loaded.model, SEQUENCES) < first - 1
    after = {name.replace(".base_layer", ""): p for name, p in loaded.base_model.named_parameters()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert not loaded.model.training
    assert summary.steps == 30


def test_the_summary_counts_what_there_was(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    total = sum(p.numel() for p in loaded.model.parameters())
    summary = train(loaded, tmp_path, max_steps=-1, num_train_epochs=2)
    assert (summary.sequences, summary.tokens, summary.answer_tokens) == (4, 70, 2 + 1 + 8 + 11)
    assert (summary.steps, summary.epochs) == (4, 2.0)
    assert summary.trainable_parameters == sum(w.numel() for w in adapter_weights(loaded).values())
    assert summary.total_parameters == total + summary.trainable_parameters
    assert summary.loss > 0
    assert summary.seconds > 0
    assert [entry["step"] for entry in summary.log if "loss" in entry] == [1, 2, 3, 4]


def test_the_same_seed_gives_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        loaded = tiny_loaded()
        torch.rand(5)  # what was drawn before must not matter
        train(loaded, tmp_path, seed=7, lora={"r": 4, "lora_dropout": 0.3})
        runs.append(adapter_weights(loaded))
    assert runs[0]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    weights = []
    for seed in (7, 8):
        loaded = tiny_loaded()
        train(loaded, tmp_path, seed=seed)
        weights.append(adapter_weights(loaded))
    assert all(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("filtered", [False, True])
def test_a_training_that_diverges_is_an_error(filtered: bool, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="training diverged"):
        train(
            tiny_loaded(), tmp_path, max_steps=6, learning_rate=1e30, max_grad_norm=0.0, lr_scheduler_type="constant",
            logging_nan_inf_filter=filtered,
        )  # fmt: skip


def test_a_loss_over_no_token_is_an_error(tmp_path: Path) -> None:
    empty = [TrainingSequence(sequence.ids, len(sequence.ids)) for sequence in SEQUENCES]
    with pytest.raises(TrainingError, match="the loss would be over 0 tokens"):
        train(tiny_loaded(), tmp_path, empty)


def test_answers_that_the_trainer_would_cut_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="tokens instead of 22"):
        train(tiny_loaded(), tmp_path, max_length=25)


@pytest.mark.parametrize("arguments", [{"loss_type": "no such loss"}, {"report_to": "no such tracker"}])
def test_values_that_the_trainer_refuses_are_an_error_that_names_the_key(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"training\.trainer_args"):
        train(tiny_loaded(), tmp_path, **arguments)


def test_an_adapter_with_nothing_to_train_is_refused(tmp_path: Path) -> None:
    class Nothing(AdapterMethod):
        def wrap(self, model: Any, args: Any) -> Any:
            return model.requires_grad_(False)

    adapter_registry["nothing"] = Nothing
    try:
        args = trainer_config(make_config(training={"trainer_args": {}}), tmp_path, keep_checkpoints=False)
        with pytest.raises(TrainingError, match="no trainable parameter"):
            train_adapter(tiny_loaded(), MethodConfig(method="nothing"), args, SEQUENCES)
    finally:
        del adapter_registry["nothing"]


def test_nothing_is_printed_and_nothing_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny_loaded(), tmp_path / "out")
    assert capfd.readouterr().out == ""
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]

"""`training.trainer_args`: defaults, values that win over them, and values that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sft.errors import ConfigError
from sft.training.arguments import trainer_config
from tests.fakes import make_config

WITHOUT_ACCELERATOR = not torch.cuda.is_available() and not torch.backends.mps.is_available()


def made(folder: Path = Path("out"), *, keep_checkpoints: bool = True, seed: int = 13, **trainer_args: Any) -> Any:
    config = make_config(training={"trainer_args": trainer_args}, seed=seed)
    return trainer_config(config, folder, keep_checkpoints=keep_checkpoints)


def test_seeds_come_from_the_config_and_nothing_is_reported() -> None:
    args = made(seed=21)
    assert (args.seed, args.data_seed, args.report_to) == (21, 21, [])


def test_the_training_seed_can_be_set_apart() -> None:
    config = make_config(training={"trainer_args": {}}, seed=21, train_seed=5)
    args = trainer_config(config, Path("out"), keep_checkpoints=True)
    assert (args.seed, args.data_seed) == (5, 5)


@pytest.mark.skipif(not WITHOUT_ACCELERATOR, reason="with an accelerator TRL's own defaults hold")
def test_a_cpu_trains_in_float32_without_recomputing_activations() -> None:
    args = made()
    assert args.use_cpu
    assert not args.bf16
    assert not args.gradient_checkpointing
    assert not getattr(args, "activation_checkpointing", False)


def test_given_arguments_win() -> None:
    args = made(seed=21, learning_rate=0.25, num_train_epochs=7, data_seed=2, save_strategy="epoch", max_length=None)
    assert (args.seed, args.data_seed) == (21, 2)
    assert (args.learning_rate, args.num_train_epochs, args.max_length) == (0.25, 7, None)
    assert args.save_strategy == "epoch"


@pytest.mark.parametrize("key", ["gradient_checkpointing", "activation_checkpointing"])
def test_recomputing_activations_can_be_asked_for_under_either_name(key: str) -> None:
    args = made(**{key: True})
    assert getattr(args, "activation_checkpointing", args.gradient_checkpointing)


def test_a_loss_that_is_no_number_is_logged_as_such() -> None:
    assert made().logging_nan_inf_filter is False


def test_the_folder_is_the_one_given() -> None:
    assert made(Path("somewhere/else"), output_dir="~/elsewhere").output_dir == "somewhere/else"


def test_checkpoints_are_only_written_where_someone_can_find_them() -> None:
    assert made(keep_checkpoints=False).save_strategy == "no"
    assert made(keep_checkpoints=True).save_strategy != "no"


def test_the_config_stays_as_it_is() -> None:
    config = make_config(training={"trainer_args": {"eos_token": "x", "learning_rate": 0.1}})
    before = config.model_dump()
    trainer_config(config, Path("out"), keep_checkpoints=False)
    assert config.model_dump() == before


WITHOUT_EFFECT = {
    "assistant_only_loss": True,
    "chat_template_path": "somewhere",
    "dataset_kwargs": {"skip_prepare_dataset": True},
    "dataset_text_field": "text",
    "eos_token": "<eos>",
    "model_init_kwargs": {"dtype": "float16"},
    "pad_token": "<pad>",
    "trust_remote_code": True,
    "truncation_mode": "keep_end",
    "resume_from_checkpoint": "somewhere",
}


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_an_argument_without_effect_is_dropped_with_a_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    args = made(**{name: WITHOUT_EFFECT[name]})
    assert f"training.trainer_args.{name} has no effect" in caplog.text
    assert getattr(args, name) == getattr(made(), name)


def test_usual_arguments_are_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    made(learning_rate=1e-3, num_train_epochs=1, per_device_train_batch_size=2, warmup_steps=3)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", "1e-4"),
        ("learning_rate", True),
        ("num_train_epochs", "three"),
        ("per_device_train_batch_size", 2.5),
        ("per_device_train_batch_size", None),
        ("max_length", "512"),
        ("packing", "yes"),
        ("max_steps", [3]),
        ("completion_only_loss", 1),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error_that_names_key_and_value(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        made(**{name: value})
    assert [problem.key for problem in caught.value.problems] == [f"training.trainer_args.{name}"]
    assert repr(value) in str(caught.value)


def test_all_wrong_types_are_named_together() -> None:
    with pytest.raises(ConfigError) as caught:
        made(learning_rate="fast", max_steps="many")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"lr_scheduler_type": "no such schedule"},
        {"optim": "no such optimiser"},
        {"save_strategy": "sometimes"},
        {"per_device_train_batch_size": 0},
        {"num_train_epochs": -1},
        {"learning_rate": -1e-3},
        {"max_length": 0},
        {"gradient_accumulation_steps": 0},
    ],
)
def test_values_that_trl_refuses_are_an_error_of_the_config(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"training\.trainer_args"):
        made(**arguments)

"""AdaLoRA: schedule, ranks and penalty against PEFT's own formulas and the paper's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import set_seed

from sft.adapters.adalora import AdaLora
from sft.config.schema import MethodConfig
from sft.errors import SftError, TrainingError
from sft.initialization.initializers import initializer_registry
from sft.prompting.labelled import LabelledIds
from sft.training.arguments import trainer_config
from sft.training.attach import attach
from sft.training.train import TrainingSummary, train_adapter
from tests.fakes import make_config
from tests.tiny_models import tiny_loaded
from tests.unit.training.test_train import SEQUENCES, mean_cross_entropy


def spec(**args: Any) -> MethodConfig:
    return MethodConfig(method="adalora", args=args)


def train(loaded: Any, folder: Path, adapter: MethodConfig, **trainer_args: Any) -> TrainingSummary:
    arguments = {"learning_rate": 0.02, "per_device_train_batch_size": 2, "logging_steps": 1, **trainer_args}
    config = make_config(training={"trainer_args": arguments})
    return train_adapter(loaded, adapter, trainer_config(config, folder, keep_checkpoints=False), SEQUENCES)


def layers(model: Any) -> list[Any]:
    found = [module for module in model.modules() if hasattr(module, "lora_E") and "default" in module.lora_E]
    assert found
    return found


@pytest.mark.parametrize(("batch_size", "accumulated"), [(4, 1), (2, 2), (1, 4)])
def test_the_loss_holds_the_orthogonality_penalty_once_per_step(
    batch_size: int, accumulated: int, tmp_path: Path
) -> None:
    loaded = tiny_loaded()
    expected = mean_cross_entropy(loaded.model, SEQUENCES)
    set_seed(13)
    distances = [
        np.linalg.norm(matrix @ matrix.T - np.eye(len(matrix)))
        for module in layers(attach(tiny_loaded().model, spec(orth_reg_weight=0.25)).model)
        for matrix in (module.lora_A["default"].detach().numpy(), module.lora_B["default"].detach().numpy().T)
    ]
    summary = train(
        loaded, tmp_path, spec(orth_reg_weight=0.25), max_steps=2,
        per_device_train_batch_size=batch_size, gradient_accumulation_steps=accumulated,
    )  # fmt: skip
    assert summary.log[0]["loss"] == pytest.approx(expected + 0.25 * float(np.mean(distances)), abs=1e-4)


@pytest.mark.parametrize("steps", [2, 5, 20])
def test_the_schedule_covers_the_steps_there_are_and_ends_at_the_target(steps: int, tmp_path: Path) -> None:
    loaded = tiny_loaded()
    train(loaded, tmp_path, spec(init_r=6, target_r=2), max_steps=steps)
    config = loaded.model.peft_config["default"]
    assert (config.total_step, config.tinit, config.tfinal) == (steps, steps // 10, 3 * steps // 10)
    left = [module.lora_A["default"].shape[0] for module in layers(loaded.model)]
    assert sum(left) == 2 * len(left)
    assert [sum(kept) for kept in config.rank_pattern.values()] == left


def test_epochs_are_counted_in_optimizer_steps(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    train(loaded, tmp_path, spec(), num_train_epochs=3, gradient_accumulation_steps=2)
    assert loaded.model.peft_config["default"].total_step == 3


def test_a_schedule_of_ones_own_is_kept_and_an_impossible_one_refused(tmp_path: Path) -> None:
    loaded = tiny_loaded()
    train(loaded, tmp_path, spec(tinit=2, tfinal=1), max_steps=6)
    config = loaded.model.peft_config["default"]
    assert (config.tinit, config.tfinal) == (2, 1)
    with pytest.raises(SftError, match=r"tinit \(0\) and tfinal \(0\) leave none of the 1 steps"):
        train(tiny_loaded(), tmp_path, spec(), max_steps=1)
    with pytest.raises(SftError, match=r"tinit \(4\) and tfinal \(1\) leave none of the 5 steps"):
        train(tiny_loaded(), tmp_path, spec(tinit=4), max_steps=5)


@pytest.mark.parametrize("args", [{"deltaT": 4}, {"tinit": 3, "tfinal": 0, "deltaT": 50}])
def test_a_rarely_moved_budget_still_ends_as_it_is_saved(args: dict[str, Any], tmp_path: Path) -> None:
    loaded = tiny_loaded()
    train(loaded, tmp_path, spec(**args), max_steps=9)
    assert sum(module.lora_A["default"].shape[0] for module in layers(loaded.model)) == 8 * len(layers(loaded.model))


def test_the_factors_make_up_what_peft_adds_to_the_weight() -> None:
    model = attach(tiny_loaded("gpt2").model, spec(init_r=4, target_r=2, lora_alpha=8)).model
    for one in (found := AdaLora().factors(model)):
        assert one.gate is not None
        with torch.no_grad():
            one.gate.normal_()
            delta = one.scaling * one.b @ (one.gate * one.a)
        torch.testing.assert_close(delta, one.module.get_delta_weight("default").T.detach())
    assert found


@pytest.mark.parametrize("name", ["pca", "eva"])
def test_an_initialisation_sets_the_right_vectors_and_the_first_output_stays(name: str) -> None:
    loaded = tiny_loaded()
    ids = torch.tensor([SEQUENCES[3].ids])
    with torch.no_grad():
        base = loaded.model(input_ids=ids).logits
    rows = [LabelledIds(s.ids, s.ids) for s in SEQUENCES]
    attached = attach(loaded.model, spec(init_r=4, target_r=2, init_lora_weights=name), rows=rows)
    attached.start()
    with torch.no_grad():
        torch.testing.assert_close(attached.model.eval()(input_ids=ids).logits, base)
    assert attached.initialized is not None
    assert attached.initialized.layers == len(layers(attached.model))
    for module in layers(attached.model):
        assert not module.lora_E["default"].any()
        assert module.lora_B["default"].any(), "with it and the singular values at zero nothing would learn"
        if name == "pca":
            expected = initializer_registry["pca"](module.get_base_layer(), 4, dtype=torch.float32)
            torch.testing.assert_close(module.lora_A["default"].detach(), expected["lora_A"])


def test_an_initialisation_whose_product_is_not_zero_is_refused() -> None:
    with pytest.raises(SftError, match=r"'pissa': its factors start with a product that isn't zero"):
        attach(tiny_loaded().model, spec(init_lora_weights="pissa"))


def test_it_is_not_resumed(tmp_path: Path) -> None:
    args = trainer_config(make_config(training={"trainer_args": {}}), tmp_path, keep_checkpoints=False)
    with pytest.raises(TrainingError, match="can't be resumed"):
        train_adapter(tiny_loaded(), spec(), args, SEQUENCES, resume_from=tmp_path)

"""Full fine-tuning: what is trained, in which dtype, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sft.config.schema import MethodConfig
from sft.errors import SftError
from sft.training.arguments import trainer_config
from sft.training.attach import attach
from sft.training.train import train_adapter
from tests.fakes import make_config
from tests.tiny_models import tiny_loaded
from tests.unit.training.test_train import SEQUENCES


def full(**args: Any) -> MethodConfig:
    return MethodConfig(method="full", args=args)


def trained(folder: Path, args: dict[str, Any], dtype: torch.dtype, **trainer_args: Any) -> Any:
    loaded = tiny_loaded()
    loaded.model.to(dtype)
    config = make_config(training={"trainer_args": {"max_steps": 20, **trainer_args}})
    train_adapter(loaded, full(**args), trainer_config(config, folder, keep_checkpoints=False), SEQUENCES)
    return loaded.model


@pytest.mark.parametrize("bf16", [False, True])
def test_weights_are_trained_in_float32_and_get_their_dtype_back(bf16: bool, tmp_path: Path) -> None:
    attached = attach(tiny_loaded().model.to(torch.bfloat16), full())
    assert {p.dtype for p in attached.model.parameters()} == {torch.float32}
    attached.finish()
    assert {p.dtype for p in attached.model.parameters()} == {torch.bfloat16}
    model = trained(tmp_path, {}, torch.bfloat16, bf16=bf16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_small_steps_add_up_in_float32_and_are_lost_in_bfloat16(tmp_path: Path) -> None:
    """The reason for training in float32: with a usual learning rate, a bfloat16 weight mostly stays where it is."""
    start = tiny_loaded().model.to(torch.bfloat16).state_dict()

    def moved(**args: Any) -> float:
        model = trained(tmp_path, args, torch.bfloat16, learning_rate=2e-5, max_steps=100, lr_scheduler_type="constant")
        changed = [(model.state_dict()[name] != weight).float().mean().item() for name, weight in start.items()]
        return sum(changed) / len(changed)

    assert moved() > 1.5 * moved(keep_dtype=True)


def test_only_the_modules_asked_for_are_trained(tmp_path: Path) -> None:
    before = tiny_loaded().model.state_dict()
    model = trained(tmp_path, {"train_modules": [r"layers\.1\.", "norm"]}, torch.float32, learning_rate=0.01)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]) == ("layers.1." not in name and "norm" not in name)


def test_modules_that_do_not_exist_are_refused() -> None:
    with pytest.raises(SftError, match=r"train_modules: 'no such module' is found in no parameter's name"):
        attach(tiny_loaded().model, full(train_modules="no such module"))


def test_quantised_weights_are_refused() -> None:
    model = tiny_loaded().model
    model.is_quantized = True
    with pytest.raises(SftError, match="quantised weights can't be trained") as caught:
        attach(model, full())
    assert "model.quantization" in (caught.value.hint or "")

"""A base model serves one run after another, and each finds it as if it had just been loaded."""

from __future__ import annotations

import contextlib
import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sft.adapters import adapter_registry
from sft.config.schema import MethodConfig, ModelConfig
from sft.errors import ModelError
from sft.initialization.initializers import initializer_registry
from sft.models import base_models
from sft.models.base_models import BaseModels
from sft.models.load import LoadedModel, load_model
from sft.models.source import find_model
from sft.prompting.build import TrainingSequence
from sft.training.arguments import trainer_config
from sft.training.output import save_trained
from sft.training.train import train_adapter
from tests.fakes import make_config
from tests.quantised_models import save_wide_model
from tests.tiny_models import random_ids, save_tiny_model
from tests.unit.adapters.test_adapter_contract import VARIANTS, peft_may_warn  # noqa: F401  # a fixture of every test
from tests.unit.models.described_model import described, differences
from tests.unit.models.test_load import load

Bases = Callable[[str], str]
SEQUENCES = [TrainingSequence(ids, 5) for ids in random_ids([7, 12, 20, 9])]
_NF4_ARGS = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
NF4: dict[str, Any] = {"quantization": {"config_class": "BitsAndBytesConfig", "args": _NF4_ARGS}}
INT8: dict[str, Any] = {"quantization": {"config_class": "BitsAndBytesConfig", "args": {"load_in_8bit": True}}}
TORCHAO: dict[str, Any] = {
    "quantization": {"config_class": "TorchAoConfig", "args": {"quant_type": "Int8WeightOnlyConfig"}}
}
LORA = MethodConfig(method="lora", args={"r": 2, "target_modules": "all-linear"})
ADAPTERS = {name: MethodConfig(method=method, args=args) for name, (method, args) in VARIANTS.items()}
CHANGING = {name for name, spec in ADAPTERS.items() if adapter_registry[spec.method].changes_base}
INITIALISED = {
    name: MethodConfig(method="lora", args={**LORA.args, "init_lora_weights": name}) for name in initializer_registry
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """Folders of saved models, by architecture; `wide` is one that can be quantised."""
    folder = tmp_path_factory.mktemp("bases")

    def base(name: str) -> str:
        if not (folder / name).exists():
            _ = save_wide_model(folder / name) if name == "wide" else save_tiny_model(folder / name, name)
        return str(folder / name)

    return base


@pytest.fixture(scope="module", autouse=True)
def collects_fast() -> Iterator[None]:
    """What was imported before isn't looked at by every garbage collection."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def random_state_of_its_own() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        yield


def train(loaded: LoadedModel, adapter: MethodConfig, folder: Path, **trainer_args: Any) -> None:
    arguments = {"max_steps": 2, "learning_rate": 0.02, "per_device_train_batch_size": 2, **trainer_args}
    config = make_config(training={"trainer_args": arguments})
    train_adapter(loaded, adapter, trainer_config(config, folder, keep_checkpoints=False), SEQUENCES)


def check_that_a_run_leaves_nothing(
    config: ModelConfig, adapter: MethodConfig, folder: Path, **trainer_args: Any
) -> None:
    fresh = described(load(config.name, **config.model_dump(exclude={"name"})).model)
    models = BaseModels()
    with models.use(config, find_model(config)) as loaded:
        assert not differences(fresh, described(loaded.model))
        first, base = loaded, loaded.model
        kept = {id(parameter) for parameter in base.parameters()}
        train(loaded, adapter, folder, **trainer_args)
        outputs = described(loaded.model)
        added = [weakref.ref(p) for p in loaded.model.parameters() if id(p) not in kept]
    assert differences({k: v for k, v in fresh.items() if k.startswith("outputs")}, outputs), "nothing was trained"
    assert models.changed is None
    with models.use(config, find_model(config)) as loaded:
        assert loaded.model is base
        assert loaded is not first
        assert not differences(fresh, described(loaded.model))
    gc.collect()
    assert added
    assert not [reference for reference in added if reference() is not None]


@pytest.mark.parametrize("variant", [name for name in ADAPTERS if name not in CHANGING])
def test_no_adapter_leaves_anything_on_the_model(variant: str, bases: Bases, tmp_path: Path) -> None:
    check_that_a_run_leaves_nothing(ModelConfig(name=bases("llama")), ADAPTERS[variant], tmp_path)


@pytest.mark.parametrize("name", INITIALISED)
def test_no_initialisation_leaves_anything_on_the_model(name: str, bases: Bases, tmp_path: Path) -> None:
    config = ModelConfig(name=bases("wide"), **NF4) if name == "loftq" else ModelConfig(name=bases("llama"))
    check_that_a_run_leaves_nothing(config, INITIALISED[name], tmp_path)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2", "gpt_neox"])
@pytest.mark.parametrize("on", [True, False])
def test_gradient_checkpointing_is_off_again(on: bool, architecture: str, bases: Bases, tmp_path: Path) -> None:
    config = ModelConfig(name=bases(architecture))
    check_that_a_run_leaves_nothing(config, LORA, tmp_path, gradient_checkpointing=on)


def test_a_training_in_16_bits_leaves_nothing(bases: Bases, tmp_path: Path) -> None:
    check_that_a_run_leaves_nothing(ModelConfig(name=bases("llama")), LORA, tmp_path, bf16=True)


@pytest.mark.parametrize("quantization", [NF4, INT8, TORCHAO], ids=["nf4", "int8", "torchao"])
def test_nothing_is_left_on_quantised_weights(quantization: dict[str, Any], bases: Bases, tmp_path: Path) -> None:
    check_that_a_run_leaves_nothing(ModelConfig(name=bases("wide"), **quantization), LORA, tmp_path)


@pytest.mark.parametrize("variant", sorted(CHANGING))
def test_a_model_whose_weights_were_trained_is_loaded_anew(variant: str, bases: Bases, tmp_path: Path) -> None:
    config = ModelConfig(name=bases("llama"))
    fresh = described(load(config.name).model)
    models = BaseModels()
    with models.use(config, find_model(config)) as loaded:
        train(loaded, ADAPTERS[variant], tmp_path)
    assert models.changed == "the base model's weights changed"
    with models.use(config, find_model(config)) as loaded:
        assert not differences(fresh, described(loaded.model))


def test_a_run_that_fails_leaves_nothing(bases: Bases, tmp_path: Path) -> None:
    config = ModelConfig(name=bases("llama"))
    fresh = described(load(config.name).model)
    models = BaseModels()
    for fails_at in ("start", "training", "end"):
        with contextlib.suppress(ZeroDivisionError), models.use(config, find_model(config)) as loaded:
            if fails_at == "training":
                loaded.model.register_forward_hook(lambda module, inputs, output: 1 / 0)
            if fails_at != "start":
                train(loaded, LORA, tmp_path, gradient_checkpointing=True)
            raise ZeroDivisionError
        assert models.changed is None
        with models.use(config, find_model(config)) as loaded:
            assert not differences(fresh, described(loaded.model))


def test_other_arguments_and_other_models_are_not_confused(bases: Bases) -> None:
    models = BaseModels()
    config = ModelConfig(name=bases("llama"))
    half = ModelConfig(name=bases("llama"), model_args={"dtype": "bfloat16"})
    for asked in (config, half, ModelConfig(name=bases("gpt2")), config):
        with models.use(asked, find_model(asked)) as loaded:
            assert not differences(
                described(load(asked.name, model_args=asked.model_args).model), described(loaded.model)
            )


def test_a_trained_adapter_is_put_on_the_kept_model_and_comes_off(bases: Bases, tmp_path: Path) -> None:
    config = ModelConfig(name=bases("llama"))
    models = BaseModels()
    folders = [tmp_path / "2", tmp_path / "3"]
    for i, folder in enumerate(folders):
        with models.use(config, find_model(config)) as loaded:
            base = loaded.model
            train(loaded, LORA, folder, learning_rate=0.02 * (i + 1))
            save_trained(loaded, folder)
    for checkpoint in (folders[0], None, folders[1], folders[0]):
        expected = described(load(config.name, checkpoint).model)
        with models.use(config, find_model(config, checkpoint and str(checkpoint))) as loaded:
            assert loaded.base_model is base
            assert loaded.source.adapter == checkpoint
            found = described(loaded.model)
            assert found["outputs for 12 tokens"] == expected["outputs for 12 tokens"]
            assert not differences(expected, found)


def test_an_adapter_that_does_not_fit_leaves_nothing(bases: Bases, tmp_path: Path) -> None:
    other, config = ModelConfig(name=bases("wide")), ModelConfig(name=bases("llama"))
    models = BaseModels()
    with models.use(other, find_model(other)) as loaded:
        train(loaded, LORA, tmp_path)
        save_trained(loaded, tmp_path)
    fresh = described(load(config.name).model)
    with pytest.raises(ModelError, match="can't put"), models.use(config, find_model(config, str(tmp_path))):
        pass
    with models.use(config, find_model(config)) as loaded:
        assert not differences(fresh, described(loaded.model))


def test_the_model_that_was_dropped_is_not_in_memory(bases: Bases) -> None:
    models = BaseModels()
    first, second = ModelConfig(name=bases("llama")), ModelConfig(name=bases("gpt2"))
    with models.use(first, find_model(first)) as loaded:
        weight = weakref.ref(next(loaded.model.parameters()))
    assert weight() is not None
    with models.use(second, find_model(second)):
        assert weight() is None


def test_what_was_said_when_a_model_was_loaded_is_said_again_when_it_is_used_again(
    bases: Bases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load_and_warn(*args: Any) -> LoadedModel:
        logging.getLogger("sft.models.load").warning("this model is odd: %s", "very")
        return load_model(*args)

    monkeypatch.setattr(base_models, "load_model", load_and_warn)
    models, config = BaseModels(), ModelConfig(name=bases("llama"))
    for times in (1, 2, 3):
        with models.use(config, find_model(config)):
            pass
        assert caplog.messages.count("this model is odd: very") == times

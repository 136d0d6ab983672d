"""Names of pass-through arguments, read from source, against the classes as Python sees them."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import peft
import pytest
import transformers
import trl
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from transformers.utils import quantization_config

from sft.config.arguments import generation_arguments, quantization_classes, trainer_arguments
from sft.config.peft_source import peft_arguments, peft_methods
from sft.errors import SftError
from tests.fakes import make_config

REAL_QUANTIZATION_CLASSES = {
    name: value
    for name, value in vars(quantization_config).items()
    if inspect.isclass(value)
    and issubclass(value, quantization_config.QuantizationConfigMixin)
    and value is not quantization_config.QuantizationConfigMixin
}


def init_fields(dataclass: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(dataclass) if field.init}


def named_parameters(cls: type) -> set[str]:
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self"}


def test_adapter_methods_are_those_that_the_installed_peft_registers() -> None:
    assert len(PEFT_TYPE_TO_CONFIG_MAPPING) > 20
    registered = {kind.value.lower(): cls.__name__ for kind, cls in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    assert peft_methods() == registered


@pytest.mark.parametrize("kind", sorted(PEFT_TYPE_TO_CONFIG_MAPPING))
def test_adapter_arguments_are_the_fields_of_the_methods_config_class(kind: str) -> None:
    assert peft_arguments(kind.lower()) == init_fields(PEFT_TYPE_TO_CONFIG_MAPPING[kind])


def test_trainer_arguments_are_the_fields_of_the_installed_sft_config() -> None:
    assert trainer_arguments() == init_fields(trl.SFTConfig)


def test_generation_arguments_are_the_attributes_of_the_installed_generation_config() -> None:
    public = {name for name in vars(transformers.GenerationConfig()) if not name.startswith("_")}
    assert generation_arguments() == public


def test_quantization_classes_are_all_those_of_transformers() -> None:
    assert len(REAL_QUANTIZATION_CLASSES) > 10
    assert quantization_classes().keys() == REAL_QUANTIZATION_CLASSES.keys()


def test_bitsandbytes_arguments_are_the_parameters_of_its_constructor() -> None:
    assert quantization_classes()["BitsAndBytesConfig"] == named_parameters(transformers.BitsAndBytesConfig)


@pytest.mark.parametrize("name", sorted(REAL_QUANTIZATION_CLASSES))
def test_every_named_parameter_of_a_quantization_class_may_be_given(name: str) -> None:
    # `quant_method` is what the class itself says of its files, not a choice.
    missing = named_parameters(REAL_QUANTIZATION_CLASSES[name]) - {"quant_method"} - quantization_classes()[name]
    assert not missing


# Arguments that a constructor takes out of its **kwargs, so that its signature doesn't tell them.
HIDDEN: list[tuple[str, dict[str, Any]]] = [
    ("FineGrainedFP8Config", {"ignored_layers": ["lm_head"]}),
    ("GPTQConfig", {"bits": 4, "checkpoint_format": "gptq"}),
]


@pytest.mark.parametrize(("name", "arguments"), HIDDEN)
def test_arguments_that_a_constructor_takes_out_of_its_kwargs_may_be_given(
    name: str, arguments: dict[str, Any]
) -> None:
    assert REAL_QUANTIZATION_CLASSES[name](**arguments)
    assert arguments.keys() <= quantization_classes()[name]
    make_config(model={"quantization": {"config_class": name, "args": arguments}})


def test_every_field_of_lora_config_is_accepted_in_a_config() -> None:
    adapter = make_config(lora=dict.fromkeys(init_fields(peft.LoraConfig))).adapter_spec
    assert adapter is not None
    assert adapter.args.keys() == init_fields(peft.LoraConfig)


def test_every_field_of_sft_config_is_accepted_in_a_config() -> None:
    # `eval_strategy` is refused for what it does, not for its name: see test_cross_checks.
    arguments = dict.fromkeys(init_fields(trl.SFTConfig) - {"eval_strategy"})
    training = make_config(training={"trainer_args": arguments}).training
    assert training is not None
    assert training.trainer_args.keys() == arguments.keys()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "PreTrainedModel", "QuantizationConfigMixin", ""])
def test_nothing_but_quantization_configs_can_be_named(name: str) -> None:
    with pytest.raises(SftError, match="is no quantization config of transformers"):
        make_config(model={"quantization": {"config_class": name}})

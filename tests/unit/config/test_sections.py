"""Which sections each command needs."""

from __future__ import annotations

import pytest

from sft.config.load import config_from_value
from sft.errors import ConfigError
from tests.fakes import config_value

SECTIONS = ("dataset", "model", "prompting", "lora", "training", "inference")

# (command, shots, sections it needs), as the issue states them
NEEDS = [
    ("train", 4, {"dataset", "model", "prompting", "lora", "training"}),
    ("predict", 4, {"dataset", "model", "prompting", "inference"}),
    ("evaluate", 4, {"dataset", "model", "prompting", "inference"}),
    ("run-experiment", 4, set(SECTIONS)),
    ("run-experiment", None, set(SECTIONS)),
    ("run-experiment", 0, {"dataset", "model", "prompting", "inference"}),
    ("run-experiments", 4, set(SECTIONS)),
    ("run-experiments", 0, {"dataset", "model", "prompting", "inference"}),
]
IDS = [f"{command}, shots {shots}" for command, shots, _ in NEEDS]


@pytest.mark.parametrize(("command", "shots", "needed"), NEEDS, ids=IDS)
def test_a_command_accepts_a_config_with_just_its_sections(command: str, shots: int | None, needed: set[str]) -> None:
    others = dict.fromkeys(set(SECTIONS) - needed)
    config_from_value(config_value(dataset={"shots": shots}, **others), "x.json", endpoint=command)


@pytest.mark.parametrize(("command", "shots", "needed"), NEEDS, ids=IDS)
def test_a_command_names_each_section_that_is_missing(command: str, shots: int | None, needed: set[str]) -> None:
    full = config_value(dataset={"shots": shots})
    for section in needed:
        value = {name: content for name, content in full.items() if name != section}
        with pytest.raises(ConfigError) as caught:
            config_from_value(value, "x.json", endpoint=command)
        assert section in [problem.key for problem in caught.value.problems]


def test_all_missing_sections_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_value({"seed": 1}, "x.json", endpoint="train")
    missing = {problem.key for problem in caught.value.problems}
    assert missing == {"dataset", "model", "prompting", "lora", "training"}


def test_null_is_as_good_as_missing() -> None:
    with pytest.raises(ConfigError, match="inference: `evaluate` needs this section"):
        config_from_value({**config_value(), "inference": None}, "x.json", endpoint="evaluate")


def test_the_long_form_of_the_adapter_is_as_good_as_lora() -> None:
    value = config_value(lora=None, adapter={"method": "lora", "args": {"r": 4}})
    assert config_from_value(value, "x.json", endpoint="train").adapter_spec is not None


def test_lora_and_an_adapter_that_says_something_else_are_refused_together() -> None:
    same = config_value(lora={"r": 4}, adapter={"method": "lora", "args": {"r": 4}})
    assert config_from_value(same, "x.json").adapter_spec is not None
    for other in ({"method": "lora", "args": {"r": 8}}, {"method": "lora"}, {"method": "other", "args": {"r": 4}}):
        with pytest.raises(ConfigError, match="adapter: given together with a different `lora`"):
            config_from_value(config_value(lora={"r": 4}, adapter=other), "x.json")

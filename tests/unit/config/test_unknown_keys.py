"""A mistyped key, at every level of a config, is refused with the name that was probably meant."""

from __future__ import annotations

from typing import Any

import pytest

from sft.config.load import config_from_value
from sft.errors import ConfigError
from sft.pipeline.checks import check_registered_names
from tests.fakes import config_value

# (what to put into a valid config, the key that the message names, what it suggests)
TYPOS: list[tuple[dict[str, Any], str, str]] = [
    ({"modell": {"name": "x"}}, "modell", "did you mean 'model'?"),
    ({"dataset": {"shot": 4}}, "dataset.shot", "did you mean 'shots'?"),
    ({"model": {"nam": "x"}}, "model.nam", "did you mean 'name'?"),
    ({"prompting": {"instuction": "x"}}, "prompting.instuction", "did you mean 'instruction'?"),
    ({"training": {"icl_example": 4}}, "training.icl_example", "did you mean 'icl_examples'?"),
    ({"inference": {"batchsize": 4}}, "inference.batchsize", "did you mean 'batch_size'?"),
    ({"lora": {"lora_alfa": 4}}, "lora.lora_alfa", "did you mean 'lora_alpha'?"),
    (
        {"lora": None, "adapter": {"method": "lora", "args": {"lora_alfa": 4}}},
        "adapter.args.lora_alfa",
        "did you mean 'lora_alpha'?",
    ),
    (
        {"lora": None, "adapter": {"method": "ia3", "args": {"feedforward_module": []}}},
        "adapter.args.feedforward_module",
        "no argument of PEFT's IA3Config",
    ),
    (
        {"lora": None, "adapter": {"method": "prefix_tuning", "args": {"virtual_tokens": 4}}},
        "adapter.args.virtual_tokens",
        "did you mean 'num_virtual_tokens'?",
    ),
    ({"lora": None, "adapter": {"metod": "lora", "method": "lora"}}, "adapter.metod", "did you mean 'method'?"),
    ({"lora": None, "adapter": {"method": "lorra"}}, "adapter.method", "did you mean 'lora'?"),
    (
        {"training": {"trainer_args": {"learning_rat": 1e-3}}},
        "training.trainer_args.learning_rat",
        "did you mean 'learning_rate'?",
    ),
    (
        {"inference": {"generation_args": {"temprature": 1.0}}},
        "inference.generation_args.temprature",
        "did you mean 'temperature'?",
    ),
    (
        {"inference": {"calibration": {"method": "batch", "arg": {}}}},
        "inference.calibration.arg",
        "did you mean 'args'?",
    ),
    (
        {"inference": {"calibration": {"method": "contextul"}}},
        "inference.calibration.method",
        "did you mean 'contextual'?",
    ),
    (
        {"inference": {"calibration": {"method": "batch", "args": {"spase": "log"}}}},
        "inference.calibration.args.spase",
        "did you mean 'space'?",
    ),
    (
        {"model": {"quantization": {"config_class": "BitsAndBytesConfi"}}},
        "model.quantization.config_class",
        "did you mean 'BitsAndBytesConfig'?",
    ),
    (
        {"model": {"quantization": {"config_class": "BitsAndBytesConfig", "arg": {}}}},
        "model.quantization.arg",
        "did you mean 'args'?",
    ),
    (
        {"model": {"quantization": {"config_class": "BitsAndBytesConfig", "args": {"load_in_4bits": True}}}},
        "model.quantization.args.load_in_4bits",
        "did you mean 'load_in_4bit'?",
    ),
    ({"evaluation": {"metrics": ["acuracy"]}}, "evaluation.metrics[0]", "did you mean 'accuracy'?"),
    ({"evaluation": {"metric": ["accuracy"]}}, "evaluation.metric", "did you mean 'metrics'?"),
    # A key of another section: the message says where it belongs.
    ({"shots": 4}, "shots", "did you mean 'dataset.shots'?"),
    ({"training": {"max_seq_length": 4}}, "training.max_seq_length", "did you mean 'inference.max_seq_length'?"),
]


@pytest.mark.parametrize(("change", "key", "suggestion"), TYPOS, ids=[key for _, key, _ in TYPOS])
def test_a_typo_is_refused_with_the_name_that_was_meant(change: dict[str, Any], key: str, suggestion: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_value(config_value(**change), "etc/x.json", extra_checks=[check_registered_names])
    assert [problem.key for problem in caught.value.problems] == [key]
    assert suggestion in str(caught.value)
    assert str(caught.value).startswith("etc/x.json: 1 problem")


def test_an_unlike_name_is_answered_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"inference\.zzz: unknown key \(fix: known: batch_size, calibration, "):
        config_from_value(config_value(inference={"zzz": 1}), "etc/x.json")


def test_an_unlike_name_among_very_many_is_answered_in_few_words() -> None:
    with pytest.raises(ConfigError, match="are known, among them") as caught:
        config_from_value(config_value(training={"trainer_args": {"lr": 1}}), "etc/x.json")
    assert len(str(caught.value)) < 400

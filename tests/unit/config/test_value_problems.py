"""Values of wrong types and out of range; and that one message tells all that is wrong with a file."""

from __future__ import annotations

from typing import Any

import pytest

from sft.config.load import config_from_value
from sft.errors import ConfigError
from sft.pipeline.checks import check_registered_names
from tests.fakes import config_value, make_config

# (change to a valid config, the one problem as it is told)
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"dataset": {"shots": -4}}, "dataset.shots: got -4: must be >= 0"),
    ({"dataset": {"shots": "8"}}, 'dataset.shots: got "8": must be an integer'),
    ({"dataset": {"shots": 8.5}}, "dataset.shots: got 8.5: must be an integer"),
    ({"dataset": {"shots": True}}, "dataset.shots: got true: must be an integer"),
    ({"dataset": {"max_n_test": 0}}, "dataset.max_n_test: got 0: must be > 0"),
    ({"dataset": {"task_type": "regression"}}, "got \"regression\": must be 'classification'"),
    ({"dataset": {"path": 3}}, "dataset.path: got 3: must be a text; or must be a list; or must be an object"),
    ({"dataset": {"path": ["a.csv", 3]}}, "dataset.path[1]: got 3: must be a text"),
    ({"dataset": {"path": {"train": 3}}}, "dataset.path.train: got 3: must be a text; or must be a list"),
    ({"dataset": {"labels": "a"}}, 'dataset.labels: got "a": must be a list; or must be an object'),
    ({"dataset": {"labels": []}}, "dataset.labels: got []: needs at least 1 item"),
    ({"dataset": {"labels": {}}}, "dataset.labels: got {}: "),
    ({"dataset": {"labels": {"a": 1}}}, "dataset.labels.a: got 1: must be a text"),
    ({"dataset": {"deduplicate": "yes"}}, 'dataset.deduplicate: got "yes": must be true or false'),
    ({"dataset": 5}, "dataset: got 5: must be an object"),
    ({"model": "gpt2"}, 'model: got "gpt2": must be an object'),
    ({"model": {"name": None}}, "model.name: got null: must be a text"),
    ({"model": {"model_args": {"parallelize": "yes"}}}, "model.model_args.parallelize: must be true or false"),
    ({"prompting": {"input_columns": "text"}}, 'prompting.input_columns: got "text": must be a list'),
    ({"prompting": {"input_columns": []}}, "prompting.input_columns: got []: needs at least 1 item"),
    ({"prompting": {"max_input_length": 0}}, "prompting.max_input_length: got 0: must be > 0"),
    ({"prompting": {"format": "xml"}}, "prompting.format: got \"xml\": must be 'auto', 'chat' or 'plain'"),
    ({"prompting": {"icl_sampling": "random"}}, "prompting.icl_sampling: got "),
    ({"lora": [8]}, "lora: got [8]: must be an object"),
    ({"training": {"icl_examples": -1}}, "training.icl_examples: got -1: must be >= 0"),
    ({"training": {"trainer_args": []}}, "training.trainer_args: got []: must be an object"),
    ({"inference": {"method": "logit"}}, "inference.method: got \"logit\": must be 'logits' or 'generate'"),
    ({"inference": {"batch_size": 0}}, "inference.batch_size: got 0: must be > 0; or must be 'auto'"),
    ({"inference": {"batch_size": "aut"}}, "inference.batch_size: got \"aut\": must be an integer; or must be 'auto'"),
    ({"inference": {"max_seq_length": 1.5}}, "inference.max_seq_length: got 1.5: must be an integer"),
    ({"inference": {"calibration": "batch"}}, 'inference.calibration: got "batch": must be an object'),
    ({"inference": {"label_end": "yes"}}, "inference.label_end: got "),
    ({"evaluation": {"metrics": "accuracy"}}, 'evaluation.metrics: got "accuracy": must be a list'),
    ({"evaluation": {"bins": "many"}}, 'evaluation.bins: got "many": must be an integer'),
    ({"evaluation": [3]}, "evaluation: got [3]: must be an object"),
    ({"seed": "x"}, 'seed: got "x": must be an integer'),
    ({"seed": -1}, "seed: got -1: must be >= 0"),
    ({"icl_seed": 0.5}, "icl_seed: got 0.5: must be an integer"),
]

ACCEPTED: list[dict[str, Any]] = [
    {"dataset": {"shots": 0}},
    {"dataset": {"shots": None}},
    {"dataset": {"path": ["train.csv", "test.csv"]}},
    {"dataset": {"path": {"train": ["a.csv", "b.csv"], "test": "c.csv"}}},
    {"dataset": {"labels": ["a", "b"]}},
    {"dataset": {"labels": {"0": "bad", "1": "good"}}},
    {"inference": {"batch_size": "auto"}},
    {"inference": {"batch_size": 7}},
    {"evaluation": {"bins": 10}},
    {"prompting": {"template_args": {}}},
    {"data_seed": 0, "icl_seed": 1, "train_seed": 2},
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_wrong_value_is_refused_with_key_and_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_value(config_value(**change), "etc/x.json", extra_checks=[check_registered_names])
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


@pytest.mark.parametrize("change", ACCEPTED, ids=str)
def test_a_valid_value_is_accepted(change: dict[str, Any]) -> None:
    config_from_value(config_value(**change), "etc/x.json", extra_checks=[check_registered_names])


def test_labels_are_compared_as_text_whatever_json_calls_them() -> None:
    assert make_config(dataset={"labels": [0, 1.5, True, "x"]}).dataset.labels == ["0", "1.5", "true", "x"]


def test_what_is_no_object_is_no_config() -> None:
    for value, kind in [([], "a list"), (3, "a number"), ("x", "a text"), (None, "null"), (True, "true/false")]:
        with pytest.raises(ConfigError, match=f"a config is a JSON object, got {kind}"):
            config_from_value(value, "etc/x.json")


def test_one_message_tells_every_problem_of_a_file() -> None:
    """Also those that are found only after the types are right, and with required keys missing."""
    value = {
        "dataset": {"path": "x", "shots": -4, "task_typ": "classification"},
        "model": {"name": 3, "quantization": {"config_clas": "BitsAndBytesConfig"}},
        "prompting": {"output_column": "label"},
        "lora": {"rr": 8},
        "training": {"trainer_args": {"eval_strategy": "epoch"}},
        "inference": {"batch_size": 0, "generation_args": {"temprature": 1}, "calibration": {"method": "contextul"}},
        "sed": 3,
    }
    with pytest.raises(ConfigError) as caught:
        config_from_value(value, "etc/x.json", extra_checks=[check_registered_names])
    assert {problem.key for problem in caught.value.problems} == {
        "dataset.shots",
        "dataset.task_type",
        "dataset.task_typ",
        "model.name",
        "model.quantization.config_class",
        "model.quantization.config_clas",
        "prompting.input_columns",
        "lora.rr",
        "training.trainer_args.eval_strategy",
        "inference.batch_size",
        "inference.generation_args.temprature",
        "inference.calibration.method",
        "sed",
    }


# (change to a valid config, keys with problems): what depends on a wrong key is not judged by a stand-in for it.
DEPENDENT: list[tuple[dict[str, Any], list[str]]] = [
    ({"dataset": {"task_type": "generaton"}, "evaluation": {"metrics": ["bleu"]}}, ["dataset.task_type"]),
    (
        {"prompting": {"input_columns": "text", "template": "{text}:", "format": "plain"}},
        ["prompting.input_columns"],
    ),
    ({"lora": None, "adapter": {"args": {"r": 8}}}, ["adapter.method"]),
]


@pytest.mark.parametrize(("change", "keys"), DEPENDENT, ids=[keys[0] for _, keys in DEPENDENT])
def test_a_wrong_key_raises_no_false_alarm_about_another(change: dict[str, Any], keys: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_value(config_value(**change), "etc/x.json", extra_checks=[check_registered_names])
    assert [problem.key for problem in caught.value.problems] == keys

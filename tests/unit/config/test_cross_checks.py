"""Checks that compare keys with one another."""

from __future__ import annotations

from typing import Any

import pytest

from sft.config.load import config_from_value
from sft.errors import ConfigError
from tests.fakes import config_value


def prompting(**changes: Any) -> dict[str, Any]:
    return {"prompting": {"format": "plain", **changes}}


def select(grid: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"training": {"trainer_args": {"max_steps": 3}, "select": {"grid": grid, **more}}}


TWO_COLUMNS = ["title", "body"]

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (prompting(template="{txt}:"), "prompting.template", "{txt} is not an input column (fix: input columns: text)"),
    (prompting(template="Is it?"), "prompting.template", "doesn't show the input column 'text' (fix: add {text})"),
    (prompting(template="Text: {text}"), "prompting.template", "nothing asks for the answer"),
    (prompting(template="Text: {text} \n"), "prompting.template", "nothing asks for the answer"),
    (prompting(template="{text"), "prompting.template", "is not a valid template"),
    (prompting(template="{text}} yes"), "prompting.template", "is not a valid template"),
    (prompting(template="{}:{text} yes"), "prompting.template", "{} is not an input column"),
    (prompting(template="{text.upper} {text} yes"), "prompting.template", "{text.upper} is not an input column"),
    (
        prompting(template="{title}: yes", input_columns=TWO_COLUMNS),
        "prompting.template",
        "doesn't show the input column 'body'",
    ),
    (prompting(template="{text}:", format="chat"), "prompting.template", "is used by the plain format only"),
    (prompting(template="{text}:", format="auto"), "prompting.template", "prompting.format is 'auto'"),
    (prompting(input_columns=["text", "label"]), "prompting.input_columns", "the answer would be in the prompt"),
    (prompting(input_columns=["text", "text"]), "prompting.input_columns", "names a column twice"),
    (
        {"training": {"trainer_args": {"eval_strategy": "epoch"}}},
        "training.trainer_args.eval_strategy",
        "labels outside the shots",
    ),
    (
        {"training": {"trainer_args": {"evaluation_strategy": "steps"}}},
        "training.trainer_args.eval_strategy",
        "labels outside the shots",
    ),
    (
        {"training": {"trainer_args": {"eval_on_start": True}}},
        "training.trainer_args.eval_on_start",
        "labels outside the shots",
    ),
    (
        {"training": {"trainer_args": {"load_best_model_at_end": True}}},
        "training.trainer_args.load_best_model_at_end",
        "labels outside the shots",
    ),
    (select({"learning_rte": [1]}), "training.select.grid.learning_rte", "(fix: did you mean 'learning_rate'?)"),
    (select({"max_steps": [1, 2]}), "training.select.grid.max_steps", "is given in training.trainer_args too"),
    (select({"output_dir": ["a", "b"]}), "training.select.grid.output_dir", "can't be selected"),
    (select({"eval_strategy": ["no", "epoch"]}), "training.select.grid.eval_strategy", "can't be selected"),
    (select({"learning_rate": [1, 1.0]}), "training.select.grid.learning_rate", "names a value twice"),
    (select({}), "training.select.grid", "at least 1"),
    (select({"learning_rate": []}), "training.select.grid.learning_rate", "at least 1"),
    (select({"learning_rate": 0.1}), "training.select.grid.learning_rate", "a list"),
    (select({"learning_rate": [1]}, folds=1), "training.select.folds", "2"),
    (select({"learning_rate": [1]}, metric="f1"), "training.select.metric", "accuracy"),
    (
        {**select({"learning_rate": [1]}, metric="accuracy"), "dataset": {"task_type": "generation"}},
        "training.select.metric",
        "'accuracy' is for classification",
    ),
    (
        {"model": {"model_args": {"quantization_config": {}}}},
        "model.model_args.quantization_config",
        "write model.quantization",
    ),
    (
        {"model": {"model_args": {"no_split_module_classes": ["Block"]}}},
        "model.model_args.no_split_module_classes",
        "set parallelize to true",
    ),
    (
        {"inference": {"generation_args": {"eos_token_id": 2}}},
        "inference.generation_args.eos_token_id",
        "can't be set here",
    ),
    (
        {"inference": {"method": "generate", "calibration": {"method": "batch"}}},
        "inference.calibration",
        "this run has none",
    ),
    *(
        ({"inference": {"method": "generate", key: value}}, f"inference.{key}", "this run has none (fix: remove it)")
        for key, value in {"score_normalization": "pmi", "pmi_premise": "", "score_shots": True, "folds": 2}.items()
    ),
    (
        {"dataset": {"task_type": "generation"}, "inference": {"score_normalization": "bytes"}},
        "inference.score_normalization",
        "this run has none",
    ),
    (
        {"dataset": {"task_type": "generation"}, "inference": {"calibration": {"method": "batch"}}},
        "inference.calibration",
        "this run has none",
    ),
    ({"dataset": {"task_type": "generation", "labels": ["a"]}}, "dataset.labels", "is for classification"),
]


@pytest.mark.parametrize(("change", "key", "message"), REFUSED, ids=[f"{k}: {m}" for _, k, m in REFUSED])
def test_keys_that_contradict_each_other_are_refused(change: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_value(config_value(**change), "x.json")
    assert {problem.key for problem in caught.value.problems} == {key}
    assert message in str(caught.value)


ACCEPTED: list[dict[str, Any]] = [
    select({"learning_rate": [1e-3, 1e-4], "num_train_epochs": [1]}, folds=2, metric="accuracy"),
    select({"lr_scheduler_type": ["linear", "cosine"]}, metric="nll"),
    prompting(template="Text: {text}\nIt was"),
    prompting(template="{text} {{sic}}\nIt was "),
    prompting(template="{body} ({title}, {body}):", input_columns=TWO_COLUMNS),
    {"training": {"trainer_args": {"eval_strategy": "no", "load_best_model_at_end": False}}},
    {"model": {"model_args": {"parallelize": True, "no_split_module_classes": ["Block"]}}},
    {"model": {"model_args": {"parallelize": False, "no_split_module_classes": None, "trust_remote_code": True}}},
    {"model": {"quantization": {"config_class": "BitsAndBytesConfig", "args": {"load_in_4bit": True}}}},
    {"inference": {"generation_args": {"max_new_tokens": 5, "stop_strings": ["\n"], "do_sample": True}}},
    {"inference": {"calibration": {"method": "contextual"}}},
    {"inference": {"score_normalization": "tokens", "pmi_premise": "It was", "score_shots": True, "folds": 2}},
    {"inference": {"method": "generate", "score_normalization": "none", "pmi_premise": None, "folds": 5}},
]


@pytest.mark.parametrize("change", ACCEPTED, ids=str)
def test_keys_that_fit_together_are_accepted(change: dict[str, Any]) -> None:
    config_from_value(config_value(**change), "x.json")

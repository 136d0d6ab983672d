"""Checks that compare keys with one another or with the installed libraries, without importing those."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterable
from typing import Any

from sft.config.arguments import generation_arguments, quantization_classes, trainer_arguments
from sft.config.identity import PRESENTATION_ARGS
from sft.config.multilabel_checks import check_multilabel
from sft.config.peft_source import peft_arguments, peft_methods
from sft.config.schema import ExperimentConfig, InferenceConfig
from sft.config.structured_checks import check_structured
from sft.errors import Problem
from sft.registry import unknown_name_fix

_REQUIRED = {
    "train": ("dataset", "model", "prompting", "training"),
    "predict": ("dataset", "model", "prompting", "inference"),
    "evaluate": ("dataset", "model", "prompting", "inference"),
    "curve": ("dataset", "model", "prompting", "inference"),
    "run-experiment": ("dataset", "model", "prompting", "inference"),
    "run-experiments": ("dataset", "model", "prompting", "inference"),
}

_OF_TRL = "argument of TRL's SFTConfig"
_JUDGING_ARGS = ("eval_strategy", "eval_on_start", "load_best_model_at_end")
_ABOUT_LABEL_SCORES = ("calibration", "score_normalization", "pmi_premise", "score_shots")

_OWNED_MODEL_ARGS = {
    "quantization_config": "write model.quantization",
    "pretrained_model_name_or_path": "write model.name",
}
_OWNED_GENERATION_ARGS = {
    "eos_token_id": "the end of the turn comes from the model's tokenizer; use stop_strings for more",
    "pad_token_id": "it comes from the model's tokenizer",
    "num_return_sequences": "one answer per row is scored",
    "return_dict_in_generate": "only the generated text is used",
}


def check_sections(value: dict[str, Any], endpoint: str | None) -> list[Problem]:
    """The sections that a command needs and the config lacks (`value`: the config's plain values)."""
    if endpoint is None:
        return []
    needed: list[str] = [name for name in _REQUIRED[endpoint] if value.get(name) is None]
    dataset = value.get("dataset")
    trains = endpoint == "train" or (
        endpoint.startswith("run-experiment") and isinstance(dataset, dict) and dataset.get("shots", None) != 0
    )
    if trains:
        needed += ["training"] if value.get("training") is None and "training" not in needed else []
        needed += ["lora"] if value.get("lora") is None and value.get("adapter") is None else []
    return [Problem(name, f"`{endpoint}` needs this section{_why(name, endpoint)}", "add it") for name in needed]


def _why(name: str, endpoint: str) -> str:
    return " unless dataset.shots is 0" if name in ("lora", "training") and endpoint != "train" else ""


def check_config(config: ExperimentConfig) -> list[Problem]:
    """Everything that can be known to be wrong without the data, the model or a heavy import."""
    return [
        *_check_adapter(config),
        *_check_trainer_args(config),
        *_check_select(config),
        *_check_model(config),
        *_check_prompting(config),
        *check_structured(config),
        *_check_candidates(config),
        *_check_inference(config),
        *check_multilabel(config),
    ]


def _check_adapter(config: ExperimentConfig) -> list[Problem]:
    problems = []
    if config.lora is not None and config.adapter is not None:
        same = config.adapter.method == "lora" and config.adapter.args == config.lora
        if not same:
            problems.append(Problem("adapter", "given together with a different `lora`", "keep one of the two"))
    spec = config.adapter_spec
    if spec is not None and spec.method in peft_methods():
        key = "lora" if config.adapter is None else "adapter.args"
        what = f"argument of PEFT's {peft_methods()[spec.method]}"
        problems += _unknown_names(spec.args, peft_arguments(spec.method), key, what)
    return problems


def _check_trainer_args(config: ExperimentConfig) -> list[Problem]:
    if config.training is None:
        return []
    key = "training.trainer_args"
    args = config.training.trainer_args
    problems = _unknown_names(args, trainer_arguments(), key, _OF_TRL)
    problems += [
        Problem(
            f"{key}.{name}",
            "there is no evaluation during training: it would use labels outside the shots",
            "remove it; the test rows are scored once, at the end",
        )
        for name in ("eval_strategy", "eval_on_start")
        if args.get(name, "no") not in ("no", False, None)
    ]
    if args.get("load_best_model_at_end"):
        problems.append(
            Problem(f"{key}.load_best_model_at_end", "needs labels outside the shots to choose by", "remove it")
        )
    return problems


def _check_select(config: ExperimentConfig) -> list[Problem]:
    """`training.select`: names as in trainer_args, each with several values that change what is learnt."""
    training = config.training
    if training is None or training.select is None:
        return []
    key, grid = "training.select.grid", training.select.grid
    problems = _unknown_names(grid, trainer_arguments(), key, _OF_TRL)
    for name, values in grid.items():
        if name in training.trainer_args:
            problems.append(
                Problem(f"{key}.{name}", "is given in training.trainer_args too", "keep it in one of the two")
            )
        if name in PRESENTATION_ARGS or name in _JUDGING_ARGS:
            problems.append(
                Problem(f"{key}.{name}", "can't be selected: what is learnt doesn't depend on it", "remove it")
            )
        if any(value in values[:i] for i, value in enumerate(values)):
            problems.append(Problem(f"{key}.{name}", f"names a value twice: {values}", "name each once"))
    is_chosen = config.dataset.task_type in ("classification", "multiple_choice")
    if not is_chosen and training.select.metric != "nll":
        problems.append(
            Problem(
                "training.select.metric",
                f"{training.select.metric!r} is for classification and multiple choice",
                'use "nll", the negative log-likelihood of the right answers',
            )
        )
    return problems


def _check_model(config: ExperimentConfig) -> list[Problem]:
    model = config.model
    problems = _owned(model.model_args, _OWNED_MODEL_ARGS, "model.model_args")
    parallelize = model.model_args.get("parallelize", False)
    if not isinstance(parallelize, bool):
        problems.append(Problem("model.model_args.parallelize", f"must be true or false, got {parallelize!r}"))
    if model.model_args.get("no_split_module_classes") is not None and not parallelize:
        problems.append(
            Problem("model.model_args.no_split_module_classes", "has no effect here", "set parallelize to true")
        )
    if model.quantization is not None:
        name, classes = model.quantization.config_class, quantization_classes()
        if name not in classes:
            problems.append(
                Problem(
                    "model.quantization.config_class",
                    f"{name!r} is no quantization config of transformers",
                    unknown_name_fix(name, classes),
                )
            )
        else:
            known = classes[name]
            problems += _unknown_names(model.quantization.args, known, "model.quantization.args", f"argument of {name}")
    return problems


def _check_prompting(config: ExperimentConfig) -> list[Problem]:
    prompting = config.prompting
    problems = []
    if not prompting.output_column and prompting.output_columns is None:
        problems.append(Problem("prompting.output_column", "is missing", "add it"))
    problems += [
        Problem(
            "prompting.input_columns",
            f"holds the output column {column!r}: the answer would be in the prompt",
            "remove it",
        )
        for column in (prompting.output_column, *(prompting.output_columns or ()))
        if column in prompting.input_columns
    ]
    if len(set(prompting.input_columns)) < len(prompting.input_columns):
        problems.append(Problem("prompting.input_columns", "names a column twice", "name each once"))
    if prompting.template is not None:
        asked = [config.label_question.name] if config.template_asks else []
        problems += _check_template(prompting.template, [*prompting.input_columns, *asked])
        if prompting.format != "plain":
            problems.append(
                Problem(
                    "prompting.template",
                    f"is used by the plain format only, and prompting.format is {prompting.format!r}",
                    'set prompting.format to "plain"',
                )
            )
    return problems


def _check_candidates(config: ExperimentConfig) -> list[Problem]:
    """`prompting.candidate_columns`, and what goes with it."""
    key, columns = "prompting.candidate_columns", config.prompting.candidate_columns
    if config.dataset.task_type != "multiple_choice":
        if columns is None:
            return []
        return [Problem(key, "is for multiple_choice", "remove it, or change dataset.task_type")]
    if columns is None:
        return [Problem(key, "is needed for multiple_choice", "name the columns that hold a row's candidates")]
    problems = []
    if len(set(columns)) < len(columns):
        problems.append(Problem(key, "names a column twice", "name each once"))
    if config.prompting.max_output_length is not None:
        problems.append(
            Problem("prompting.max_output_length", "has no effect on candidates, which are never cut", "set it to null")
        )
    if config.inference_or_default.method != "logits":
        problems.append(
            Problem(
                "inference.method",
                f"{config.inference_or_default.method!r} is for classification: candidates are scored",
                'set it to "logits"',
            )
        )
    return problems


def _check_template(template: str, columns: list[str]) -> list[Problem]:
    key = "prompting.template"
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        return [Problem(key, f"is not a valid template: {error}", "write {column}, and {{ }} for braces")]
    unknown = [name for name in fields if name not in columns]
    problems = [
        Problem(key, f"{{{name}}} is not an input column", f"input columns: {', '.join(columns)}") for name in unknown
    ]
    problems += [
        Problem(key, f"doesn't show the input column {name!r}", f"add {{{name}}}")
        for name in columns
        if name not in fields
    ]
    if not template[template.rfind("}") + 1 :].strip():
        problems.append(Problem(key, "ends with a column, so nothing asks for the answer", "add words after it"))
    return problems


def _check_inference(config: ExperimentConfig) -> list[Problem]:
    inference = config.inference
    if inference is None:
        return []
    args = inference.generation_args
    problems = _unknown_names(
        args, generation_arguments(), "inference.generation_args", "argument of transformers' GenerationConfig"
    )
    problems += _owned(args, _OWNED_GENERATION_ARGS, "inference.generation_args")
    task_type = config.dataset.task_type
    if not config.scores_answers:
        problems += _not_default(inference, _ABOUT_LABEL_SCORES, _why_no_scores(task_type))
    if not config.scores_answers and task_type != "multilabel":
        problems += _not_default(inference, ("folds",), _why_no_scores(task_type))
    if config.dataset.labels is not None and task_type not in ("classification", "multilabel"):
        problems.append(Problem("dataset.labels", "is for classification", "remove it, or change dataset.task_type"))
    return problems


def _why_no_scores(task_type: str) -> str:
    if task_type == "multilabel":
        return "is about the scores of labels that exclude each other, which those of a multi-label task don't"
    return "is about label scores, and this run has none"


def _not_default(inference: InferenceConfig, names: Iterable[str], what: str) -> list[Problem]:
    defaults = InferenceConfig()
    changed = [name for name in names if getattr(inference, name) != getattr(defaults, name)]
    return [Problem(f"inference.{name}", what, "remove it") for name in changed]


def _unknown_names(given: Iterable[str], known: Collection[str], key: str, what: str) -> list[Problem]:
    return [
        Problem(f"{key}.{name}", f"no {what}", unknown_name_fix(name, known)) for name in given if name not in known
    ]


def _owned(given: Iterable[str], owned: dict[str, str], key: str) -> list[Problem]:
    return [Problem(f"{key}.{name}", "can't be set here", owned[name]) for name in given if name in owned]

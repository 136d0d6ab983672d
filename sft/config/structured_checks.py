"""Checks of what only structured answers need."""

from __future__ import annotations

import importlib.util

from sft.config.output_schema import KEY, as_json_schema, check_schema, unenforced_keywords
from sft.config.schema import ExperimentConfig
from sft.errors import Problem

# A constrained row is followed token by token to the end of its value.
_NOT_CONSTRAINED = {
    "num_beams": "beams change their places between steps",
    "stop_strings": "an answer ends where its value does",
    "penalty_alpha": "tokens are tried out of turn",
    "prompt_lookup_num_tokens": "several tokens come at a time",
    "assistant_early_exit": "several tokens come at a time",
}


def check_structured(config: ExperimentConfig) -> list[Problem]:
    """The schema, the columns, and what constrained decoding asks for."""
    if config.dataset.task_type != "structured":
        given = {
            "prompting.output_schema": config.prompting.output_schema,
            "prompting.output_columns": config.prompting.output_columns,
            "inference.constrained": config.inference_or_default.constrained,
        }
        fix = 'remove it, or set dataset.task_type to "structured"'
        return [Problem(key, "is for structured answers", fix) for key, value in given.items() if value is not None]
    if config.prompting.output_schema is None:
        return [Problem(KEY, "is missing", "add the JSON Schema of the answers, or a list of field names")]
    schema = as_json_schema(config.prompting.output_schema)
    problems = check_schema(schema) or _check_columns(config, schema)
    if not problems and config.is_constrained:
        problems = [*unenforced_keywords(schema), *_check_constrained(config)]
    return problems


def _check_columns(config: ExperimentConfig, schema: dict[str, object]) -> list[Problem]:
    prompting, key = config.prompting, "prompting.output_columns"
    if prompting.output_columns is None:
        return []
    problems = []
    if prompting.output_column:
        problems.append(Problem("prompting.output_column", f"is given together with {key}", "keep one of the two"))
    if len(set(prompting.output_columns)) < len(prompting.output_columns):
        problems.append(Problem(key, "names a column twice", "name each once"))
    properties = schema.get("properties")
    names = list(properties) if isinstance(properties, dict) else []
    problems += [
        Problem(key, f"{name!r} is no property of {KEY}", f"its properties: {', '.join(names) or 'none'}")
        for name in prompting.output_columns
        if name not in names
    ]
    return problems


def _check_constrained(config: ExperimentConfig) -> list[Problem]:
    problems = not_constrainable(config)
    if importlib.util.find_spec("xgrammar") is None:
        what = "structured answers are constrained by the package 'xgrammar', which is not installed"
        fix = 'pip install "xgrammar==0.2.8", or set inference.constrained to false'
        problems.append(Problem("inference.constrained", what, fix))
    return problems


def not_constrainable(config: ExperimentConfig) -> list[Problem]:
    """Settings of the generation with which texts can't be held to a grammar."""
    inference = config.inference_or_default
    problems = []
    if inference.decoder == "continuous":
        what = "doesn't go with constrained decoding, which is done in static batches"
        problems.append(Problem("inference.decoder", what, "remove it"))
    return problems + [
        Problem(f"inference.generation_args.{name}", f"doesn't go with constrained decoding: {why}", "remove it")
        for name, why in _NOT_CONSTRAINED.items()
        if inference.generation_args.get(name) not in (None, 1)
    ]

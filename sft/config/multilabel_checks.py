"""Checks of what only multi-label tasks need."""

from __future__ import annotations

import importlib.util

from sft.config.schema import DatasetConfig, ExperimentConfig, InferenceConfig
from sft.config.structured_checks import not_constrainable
from sft.errors import Problem
from sft.registry import unknown_name_fix


def check_multilabel(config: ExperimentConfig) -> list[Problem]:
    """Keys of multi-label tasks, in these and in others."""
    dataset, prompting, inference = config.dataset, config.prompting, config.inference_or_default
    is_multilabel, problems = dataset.task_type == "multilabel", []
    default = DatasetConfig.model_fields["label_separator"].default
    if not is_multilabel and dataset.label_separator != default:
        problems.append(Problem("dataset.label_separator", "is for task_type multilabel", "remove it"))
    if not config.asks_about_labels:
        what = "is for multi-label tasks with inference.method logits"
        if inference.thresholds != InferenceConfig.model_fields["thresholds"].default:
            problems.append(Problem("inference.thresholds", what, "remove it"))
        if prompting.label_question is not None:
            problems.append(Problem("prompting.label_question", what, "remove it"))
        return [*problems, *_check_generated(config)] if is_multilabel else problems
    question = config.label_question
    if question.name in prompting.input_columns:
        problems.append(
            Problem(
                "prompting.input_columns",
                f"holds {question.name!r}, which is what a label that is asked about is called",
                "call that otherwise with prompting.label_question.name",
            )
        )
    if question.yes.strip() == question.no.strip() or not question.yes.strip() or not question.no.strip():
        what = f"the answers {question.yes!r} and {question.no!r} are the same, or empty"
        problems.append(Problem("prompting.label_question", what, "make them different"))
    if isinstance(inference.thresholds, dict) and isinstance(dataset.labels, (list, dict)):
        for name in inference.thresholds.keys() - set(dataset.labels):
            fix = unknown_name_fix(name, list(dataset.labels))
            problems.append(Problem(f"inference.thresholds.{name}", "is not among dataset.labels", fix))
    return problems


def _check_generated(config: ExperimentConfig) -> list[Problem]:
    """Lists of labels are generated under a grammar."""
    problems = not_constrainable(config)
    if config.prompting.max_output_length is not None:
        what = "would cut lists of labels in training, and what is left names other labels or none"
        fix = "remove it; inference.generation_args.max_new_tokens limits what is generated, which stays a whole list"
        problems.append(Problem("prompting.max_output_length", what, fix))
    if importlib.util.find_spec("xgrammar") is None:
        what = "lists of labels are generated under a grammar by the package 'xgrammar', which is not installed"
        problems.append(Problem("inference.method", what, 'pip install "xgrammar==0.2.8", or use logits'))
    return problems

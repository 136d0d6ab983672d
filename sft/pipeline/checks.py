"""Checks of a config against the registries, still without importing torch."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sft.adapters import adapter_registry
from sft.adapters.experimental import REFUSED
from sft.calibration import Needs, calibration_registry
from sft.calibration.normalization import normalization_registry
from sft.config.arguments import lora_initializations
from sft.config.problems import problems_of
from sft.config.schema import NEXT_TOKEN, ExperimentConfig, InferenceConfig, MethodConfig
from sft.errors import Problem
from sft.evaluation.metrics import check_metrics
from sft.pipeline.conclude import make_calibration
from sft.registry import Registry, unknown_name_fix
from sft.training.objectives import objective_registry

_CALIBRATION = "inference.calibration"
_OBJECTIVE = "training.objective"
# Arguments of TRL's loss over the tokens of sequences, with values that ask for nothing else.
_OF_NEXT_TOKEN: dict[str, tuple[Any, ...]] = {
    "packing": (None, False),
    "padding_free": (None, False),
    "completion_only_loss": (None, True),
    "loss_type": (None, "nll"),
    "label_smoothing_factor": (None, 0),
    "use_liger_kernel": (None, False),
}


def check_registered_names(config: ExperimentConfig) -> list[Problem]:
    """Adapter, score normalisation, calibration and metrics: that they exist and take the arguments given."""
    problems = check_metrics(config.dataset.task_type, config.evaluation.metrics, config.evaluation.metric_args)
    if config.adapter_spec is not None:
        problems += _check_adapter(config.adapter_spec, "lora" if config.adapter is None else "adapter.args")
    problems += _check_initialization(config)
    problems += check_objective(config)
    inference = config.inference_or_default
    problems += _check_name("inference.score_normalization", inference.score_normalization, normalization_registry)
    if inference.calibration is not None:
        problems += check_calibration(inference.calibration)
    if not problems and config.dataset.task_type == "multiple_choice":
        problems = _check_methods_for_candidates(inference)
    return problems


def _check_methods_for_candidates(inference: InferenceConfig) -> list[Problem]:
    """That normalisation and calibration make sense where every row has candidates of its own: nothing is known of a
    candidate's bias but its premise.
    """
    problems = []
    normalization, spec = normalization_registry[inference.score_normalization](), inference.calibration
    if _compares_labels(normalization.needs):
        what = f"{inference.score_normalization!r} compares the scores of labels that all rows share"
        fix = "use none, tokens, characters, bytes or pmi"
        problems.append(Problem("inference.score_normalization", f"{what}; in multiple_choice no two do", fix))
    calibration = None if spec is None else make_calibration(spec)
    if spec is not None and calibration is not None:
        if calibration.transductive or _compares_labels(calibration.needs):
            what = f"{spec.method!r} estimates a bias of labels that all rows share; in multiple_choice no two do"
            fix = 'use "temperature" or none; score_normalization "pmi" compares each candidate with its premise'
            problems.append(Problem(_CALIBRATION, what, fix))
        elif calibration.needs.shots and normalization.needs.premise:
            what = f"{spec.method!r} learns from scores of the shots, after which no premise is scored"
            problems.append(Problem(_CALIBRATION, what, "use another score_normalization"))
    return problems


def _compares_labels(needs: Needs) -> bool:
    return bool(needs.content_free or needs.random_words or needs.unlabelled is not None)


def check_calibration(spec: MethodConfig) -> list[Problem]:
    """The method's name, the names of its arguments, their types, and whether they go together."""
    return _check_method(_CALIBRATION, spec, calibration_registry)


def check_objective(config: ExperimentConfig) -> list[Problem]:
    """As `check_calibration`; and that the task and the arguments of the trainer are ones that the objective is for."""
    if config.training is None:
        return []
    spec, args = config.training.objective, config.training.trainer_args
    problems = _check_method(_OBJECTIVE, spec, objective_registry)
    if problems or not objective_registry[spec.method].reads_labels:
        return problems
    if config.dataset.task_type != "classification":
        what = f"{spec.method!r} compares the labels of a classification, and dataset.task_type is "
        fix = f'use "{NEXT_TOKEN}"'
        problems.append(Problem(_OBJECTIVE, f"{what}{config.dataset.task_type!r}", fix))
    if config.training.batches == "flat":
        what = f"is about sequences of answers, and the objective {spec.method!r} reads labels in batches of its own"
        problems.append(Problem("training.batches", what, "remove it"))
    problems += [
        Problem(
            f"training.trainer_args.{name}",
            f"is about the loss over a sequence's tokens, which the objective {spec.method!r} replaces",
            "remove it",
        )
        for name, usual in _OF_NEXT_TOKEN.items()
        if args.get(name) not in usual
    ]
    return problems


def _check_method(key: str, spec: MethodConfig, registry: Registry[Any]) -> list[Problem]:
    """A method's name, the names of its arguments, their types, and whether they go together."""
    problems = _check_name(f"{key}.method", spec.method, registry)
    if problems:
        return problems
    method = registry[spec.method]
    known = list(inspect.signature(method).parameters)
    hints = _annotations(method) if known else {}
    problems = _check_args(f"{key}.args", f"the {registry.kind} {spec.method!r}", spec.args, known, hints)
    if problems:
        return problems
    try:
        method(**spec.args)
    except ValueError as error:
        return [Problem(f"{key}.args", str(error))]
    return []


def _check_initialization(config: ExperimentConfig) -> list[Problem]:
    """`init_lora_weights`: true, false, a name of PEFT's or of the registry, or the latter with arguments.

    The registry's modules import torch, and are looked at for names and arguments that PEFT doesn't know only.
    """
    adapter = config.adapter_spec
    value = None if adapter is None else adapter.args.get("init_lora_weights")
    known = lora_initializations()
    if value is None or isinstance(value, bool) or (isinstance(value, str) and _is_pefts(value, known)):
        return []
    key = f"{'lora' if config.lora is not None else 'adapter.args'}.init_lora_weights"
    from sft.initialization.initializers import initializer_registry
    from sft.initialization.initializers.base import arguments_of

    if isinstance(value, str):
        if value in initializer_registry:
            return []
        what = f"no initialisation is named {value!r}"
        return [Problem(key, what, unknown_name_fix(value, {*initializer_registry, *known}))]
    try:
        spec = MethodConfig.model_validate(value)
    except ValidationError as error:
        return [problem._replace(key=f"{key}.{problem.key}".rstrip(".")) for problem in problems_of(error, value)]
    problems = _check_name(f"{key}.method", spec.method, initializer_registry)
    if problems:
        return problems
    hints = arguments_of(initializer_registry[spec.method])
    return _check_args(f"{key}.args", f"the initialisation {spec.method!r}", spec.args, list(hints), hints)


def _is_pefts(name: str, known: Collection[str]) -> bool:
    return name in known or re.fullmatch(r"pissa_niter_\d+", name) is not None


def _check_args(
    key: str, owner: str, args: Mapping[str, Any], known: Sequence[str], hints: Mapping[str, Any]
) -> list[Problem]:
    """Names and types of the arguments of something registered."""
    problems = []
    for name, value in args.items():
        if name not in known:
            problems.append(Problem(f"{key}.{name}", f"no argument of {owner}", unknown_name_fix(name, known)))
        else:
            problems += _check_value(f"{key}.{name}", value, hints[name])
    return problems


def _check_adapter(spec: MethodConfig, key: str) -> list[Problem]:
    """key: of the arguments. Names of PEFT's arguments are checked with the rest of the config."""
    if spec.method in REFUSED and spec.method not in adapter_registry:
        return [Problem("adapter.method", f"{spec.method!r} can't be trained here: {REFUSED[spec.method]}")]
    problems = _check_name("adapter.method", spec.method, adapter_registry)
    if not problems:
        found = adapter_registry[spec.method].problems(spec.args)
        problems = [problem._replace(key=f"{key}.{problem.key}") for problem in found]
    return problems


def _check_name(key: str, name: str, registry: Registry[Any]) -> list[Problem]:
    if name in registry:
        return []
    return [Problem(key, f"no {registry.kind} is named {name!r}", unknown_name_fix(name, registry))]


def _annotations(cls: type) -> dict[str, Any]:
    """Argument → annotation, evaluated."""
    constructor: Any = cls.__init__  # type: ignore[misc]  # of this very class, no subclass
    return typing.get_type_hints(constructor, include_extras=True)


def _check_value(key: str, value: Any, annotation: Any) -> list[Problem]:
    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        return [problem._replace(key=key + problem.key) for problem in problems_of(error, value)]
    return []

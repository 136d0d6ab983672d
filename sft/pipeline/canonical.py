"""One way to write a config: two that mean the same get the same run id and the same row of a table."""

from __future__ import annotations

import inspect
from typing import Any

from sft.calibration import calibration_registry
from sft.config.identity import run_id
from sft.config.schema import ExperimentConfig, MethodConfig
from sft.registry import Registry
from sft.training.objectives import objective_registry


def canonical_config(config: ExperimentConfig) -> ExperimentConfig:
    """The config without arguments of its calibration and its objective that repeat a default.

    They are left out rather than filled in, so that the id of a config that never named them stays what it is when a
    method gets a further argument. Unknown methods and arguments are left alone.
    """
    inference, training = config.inference, config.training
    if inference is not None and inference.calibration is not None:
        calibration = _without_defaults(inference.calibration, calibration_registry)
        config = config.model_copy(update={"inference": inference.model_copy(update={"calibration": calibration})})
    if training is not None:
        objective = _without_defaults(training.objective, objective_registry)
        config = config.model_copy(update={"training": training.model_copy(update={"objective": objective})})
    return config


def plan_id(config: ExperimentConfig) -> str:
    """What identifies a planned run before its data is read: its id without the data's fingerprint."""
    return run_id(canonical_config(config), data_fingerprint=None, trains=config.has_shots)


def _without_defaults(spec: MethodConfig, registry: Registry[Any]) -> MethodConfig:
    if not spec.args or spec.method not in registry:
        return spec
    parameters = inspect.signature(registry[spec.method]).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    args = {name: value for name, value in spec.args.items() if name not in defaults or value != defaults[name]}
    return spec.model_copy(update={"args": args})

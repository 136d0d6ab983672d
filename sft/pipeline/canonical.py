"""One way to write a config: two that mean the same get the same run id and the same row of a table."""

from __future__ import annotations

import inspect

from sft.calibration import calibration_registry
from sft.config.identity import run_id
from sft.config.schema import ExperimentConfig, MethodConfig


def canonical_config(config: ExperimentConfig) -> ExperimentConfig:
    """The config without arguments of its calibration that repeat a default.

    They are left out rather than filled in, so that the id of a config that never named them stays what it is when a
    method gets a further argument. Unknown methods and arguments are left alone.
    """
    inference = config.inference
    if inference is None or inference.calibration is None:
        return config
    calibration = _without_defaults(inference.calibration)
    return config.model_copy(update={"inference": inference.model_copy(update={"calibration": calibration})})


def plan_id(config: ExperimentConfig) -> str:
    """What identifies a planned run before its data is read: its id without the data's fingerprint."""
    return run_id(canonical_config(config), data_fingerprint=None, trains=config.has_shots)


def _without_defaults(spec: MethodConfig) -> MethodConfig:
    if not spec.args or spec.method not in calibration_registry:
        return spec
    parameters = inspect.signature(calibration_registry[spec.method]).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    args = {name: value for name, value in spec.args.items() if name not in defaults or value != defaults[name]}
    return spec.model_copy(update={"args": args})

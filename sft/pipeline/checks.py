"""Checks of a config against the registries, still without importing torch."""

from __future__ import annotations

import inspect

from sft.adapters import adapter_registry
from sft.calibration import calibration_registry
from sft.config.schema import ExperimentConfig
from sft.errors import Problem
from sft.evaluation.metrics import check_metrics
from sft.registry import unknown_name_fix


def check_registered_names(config: ExperimentConfig) -> list[Problem]:
    """Adapter, calibration and metrics: that they exist and take the arguments given."""
    problems = check_metrics(config.dataset.task_type, config.evaluation.metrics, config.evaluation.metric_args)
    if config.adapter is not None and config.adapter.method not in adapter_registry:
        fix = unknown_name_fix(config.adapter.method, adapter_registry)
        problems.append(Problem("adapter.method", f"no adapter method is named {config.adapter.method!r}", fix))
    return problems + _check_calibration(config)


def _check_calibration(config: ExperimentConfig) -> list[Problem]:
    spec = config.inference_or_default.calibration
    if spec is None:
        return []
    key = "inference.calibration"
    if spec.method not in calibration_registry:
        fix = unknown_name_fix(spec.method, calibration_registry)
        return [Problem(f"{key}.method", f"no calibration is named {spec.method!r}", fix)]
    calibration = calibration_registry[spec.method]
    known = list(inspect.signature(calibration).parameters)
    unknown = [name for name in spec.args if name not in known]
    if unknown:
        what = f"no argument of the calibration {spec.method!r}"
        return [Problem(f"{key}.args.{name}", what, unknown_name_fix(name, known)) for name in unknown]
    try:
        calibration(**spec.args)
    except (TypeError, ValueError) as error:
        return [Problem(f"{key}.args", str(error))]
    return []

"""Few-shot experiments with Hugging Face language models: train, predict, evaluate, compare.

The functions here are the endpoints of the command line. They are imported on first use, because torch and transformers
take seconds to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_EXPORTS = {
    "Diagnosis": "sft.doctor",
    "ExperimentConfig": "sft.config.schema",
    "Results": "sft.results",
    "Run": "sft.pipeline.run",
    "RunRecord": "sft.records",
    "SftError": "sft.errors",
    "Trained": "sft.pipeline.endpoints",
    "aggregate_results": "sft.api",
    "calibrate_results": "sft.api",
    "compare_runs": "sft.reporting.compare",
    "diagnose": "sft.doctor",
    "evaluate": "sft.pipeline.endpoints",
    "export_lm_eval": "sft.lm_eval.export",
    "load_config": "sft.api",
    "load_configs": "sft.api",
    "load_results": "sft.results",
    "merge_model": "sft.pipeline.merge",
    "predict": "sft.pipeline.predict",
    "read_record": "sft.records",
    "run_experiment": "sft.pipeline.endpoints",
    "run_experiments": "sft.api",
    "train": "sft.pipeline.endpoints",
    "write_report": "sft.api",
}

__all__ = [
    "Diagnosis",
    "ExperimentConfig",
    "Results",
    "Run",
    "RunRecord",
    "SftError",
    "Trained",
    "__version__",
    "aggregate_results",
    "calibrate_results",
    "compare_runs",
    "diagnose",
    "evaluate",
    "export_lm_eval",
    "load_config",
    "load_configs",
    "load_results",
    "merge_model",
    "predict",
    "read_record",
    "run_experiment",
    "run_experiments",
    "train",
    "write_report",
]

if TYPE_CHECKING:
    from sft.api import (
        aggregate_results,
        calibrate_results,
        load_config,
        load_configs,
        run_experiments,
        write_report,
    )
    from sft.config.schema import ExperimentConfig
    from sft.doctor import Diagnosis, diagnose
    from sft.errors import SftError
    from sft.lm_eval.export import export_lm_eval
    from sft.pipeline.endpoints import Trained, evaluate, run_experiment, train
    from sft.pipeline.merge import merge_model
    from sft.pipeline.predict import predict
    from sft.pipeline.run import Run
    from sft.records import RunRecord, read_record
    from sft.reporting.compare import compare_runs
    from sft.results import Results, load_results


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'sft' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)

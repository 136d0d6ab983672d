"""The metrics of a run, by name. A new one is a new file in this folder, with the decorator `metric` on a function."""

from sft.evaluation.metrics.base import (
    Metric,
    MetricSource,
    check_metrics,
    compute_metrics,
    metric,
    metric_registry,
    metric_sources,
)
from sft.registry import import_submodules

import_submodules(__name__, __path__)

__all__ = ["Metric", "MetricSource", "check_metrics", "compute_metrics", "metric", "metric_registry", "metric_sources"]

"""What a finished run's metrics need to be computed anew for resampled test rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.metrics.base import Metric, metric_registry
from sft.evaluation.outcome import Outcome
from sft.evaluation.row_sums import ResultFunction, RowFunction, RowSums
from sft.evaluation.statistics.bootstrap import ResampledRuns
from sft.evaluation.statistics.design import Seeds

Floats = NDArray[np.float64]

_SAME = 1e-4


@dataclass(frozen=True)
class JudgedRun:
    """A run's outcome on its test rows, and the metrics that can be resampled.

    metrics: those with `row_sums`. arguments: of the config's evaluation. results: names of the results that follow
    from the outcome as the record has them. differing: those that don't (probabilities are stored rounded).
    lower_is_better: those of `results` of which that is true. width: sums per row.
    """

    outcome: Outcome
    metrics: Sequence[_Resampled]
    arguments: Mapping[str, Any]
    results: frozenset[str]
    differing: frozenset[str]
    lower_is_better: frozenset[str]
    width: int

    @property
    def rows(self) -> int:
        return len(self.outcome.predictions)


def judge(
    outcome: Outcome, names: Sequence[str] | None, arguments: Mapping[str, Any], recorded: Mapping[str, Any]
) -> JudgedRun:
    """names, arguments: of the config's metrics; unknown names are left out. recorded: the run's results."""
    metrics = _with_row_sums(outcome, names)
    sums = _sums(outcome, metrics, arguments)
    rows = len(outcome.predictions)
    found: dict[str, float] = {}
    lower: set[str] = set()
    for metric, form in metrics:
        if form.of_rows in sums:
            results = form.results(sums[form.of_rows].sum(axis=0, dtype=np.float64), rows)
            found |= {name: float(value) for name, value in results.items()}
            lower |= results.keys() if metric.lower_is_better else set()
    known = {name: value for name, value in found.items() if isinstance(recorded.get(name), (int, float))}
    same = {name for name, value in known.items() if math.isclose(value, recorded[name], rel_tol=_SAME, abs_tol=_SAME)}
    return JudgedRun(
        outcome,
        metrics,
        arguments,
        results=frozenset(same),
        differing=frozenset(known.keys() - same),
        lower_is_better=frozenset(same & lower),
        width=sum(values.shape[1] for values in sums.values()),
    )


def resampled(runs: Sequence[JudgedRun], seeds: Sequence[Seeds]) -> ResampledRuns:
    """The runs of one configuration as the bootstrap takes them, with the results that all of them have.

    Runs of one configuration have the same metrics.
    """
    names = frozenset.intersection(*(run.results for run in runs))
    sums = [_sums(run.outcome, run.metrics, run.arguments) for run in runs]
    shared = [of_rows for of_rows in sums[0] if all(of_rows in each for each in sums)]
    return ResampledRuns(
        seeds,
        {_key(of_rows): np.stack([each[of_rows] for each in sums]) for of_rows in shared},
        {_key(of_rows): _results(runs[0], of_rows, names) for of_rows in shared},
    )


class _Resampled(NamedTuple):
    metric: Metric
    form: RowSums


def _with_row_sums(outcome: Outcome, names: Sequence[str] | None) -> list[_Resampled]:
    return [
        _Resampled(metric, metric.row_sums)
        for metric in metric_registry.values()
        if metric.row_sums is not None
        and outcome.task_type in metric.task_types
        and (metric.default if names is None else metric.name in names)
    ]


def _sums(
    outcome: Outcome, metrics: Sequence[_Resampled], arguments: Mapping[str, Any]
) -> dict[RowFunction, NDArray[Any]]:
    """Row function → [N, K]; metrics share functions."""
    found: dict[RowFunction, NDArray[Any]] = {}
    for metric, form in metrics:
        if form.of_rows not in found:
            own = {name: value for name, value in arguments.items() if name in metric.arguments}
            values = form.of_rows(outcome, **own)
            if values is not None:
                found[form.of_rows] = values
    return found


def _results(run: JudgedRun, of_rows: RowFunction, names: frozenset[str]) -> ResultFunction:
    functions = [form.results for _, form in run.metrics if form.of_rows == of_rows]

    def results(sums: Floats, rows: int) -> dict[str, Floats]:
        found = {name: value for function in functions for name, value in function(sums, rows).items()}
        return {name: value for name, value in found.items() if name in names}

    return results


def _key(of_rows: RowFunction) -> str:
    return f"{of_rows.__module__}.{of_rows.__qualname__}"

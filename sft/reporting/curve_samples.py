"""Records of a learning curve → its points, each with bootstrap samples of its mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.evaluation.outcome import ClassificationOutcome, MultilabelOutcome
from sft.evaluation.resampling import JudgedRun, judge, resampled
from sft.evaluation.statistics.bootstrap import crossed_bootstrap
from sft.evaluation.statistics.interval import percentile_interval
from sft.evaluation.statistics.spread import spread
from sft.records import RunRecord
from sft.reporting.columns import BASELINE_TITLES
from sft.reporting.curve_points import CurvePoint
from sft.reporting.members import Group, Member, group_runs
from sft.reporting.resample import bootstrap
from sft.reporting.summaries import scalars, summaries

ZERO = "zero"

# The metrics of which records have the baselines' results.
_BASELINE_METRICS = ("accuracy", "balanced_accuracy", "f1", "subset_accuracy", "multilabel_f1", "jaccard")
# Baselines that depend on no row of the test split: predictions that are all the same, and expectations.
_CONSTANT = ("majority", "every_label", "random_guess")


class SampledPoint(NamedTuple):
    """samples: [B] of the mean, paired with those of all other points; None where there are none."""

    method: str
    calibration: str | None
    baseline: bool
    point: CurvePoint
    samples: NDArray[np.float64] | None


class SampledCurve(NamedTuple):
    """resamples: B, or 0. lower_is_better: of the metric. failed: titles of points without any result."""

    points: list[SampledPoint]
    resamples: int
    lower_is_better: bool
    failed: list[str]


def sample_points(records: Sequence[RunRecord], judged: Mapping[str, JudgedRun], metric: str) -> SampledCurve:
    """judged: what the runs' items say, by `RunRecord.folder_name`.

    Raises `SftError` where a finished run lacks the metric, and where runs were judged on different test rows.
    """
    groups = group_runs(records, judged, ())
    if len({group.test_set for group in groups} - {None}) > 1:
        raise SftError("the runs of the curve were judged on different test rows", "use another --results-path")
    drawn = bootstrap(groups, tests=2 * len(groups))
    points, failed = [], []
    for group, samples in zip(groups, drawn.crossed, strict=True):
        if not group.finished:
            failed.append(f"{method_of(group.members[0])}, {_shots(group.members[0].config)} shots")
            continue
        summary = summaries(group, samples).get(metric)
        if summary is None:
            known = ", ".join(scalars(group.finished[0].record.results))
            raise SftError(f"the runs have no result {metric!r}", f"known: {known}")
        at = CurvePoint(
            shots=_shots(group.finished[0].config),
            labels=float(np.mean([_labels(member.record) for member in group.finished])),
            mean=summary.mean,
            sd=summary.sd,
            low=summary.low,
            high=summary.high,
            runs=summary.n,
            failed=group.failed,
        )
        method, calibration = method_of(group.finished[0]), _calibration(group.finished[0].config)
        points.append(SampledPoint(method, calibration, False, at, samples.get(metric)))
    lower = any(metric in run.lower_is_better for group in groups for run in group.judged or ())
    points += _baselines(groups, metric, drawn.resamples)
    return SampledCurve(points, drawn.resamples, lower, failed)


def method_of(member: Member) -> str:
    """`zero`, `icl`, the adapter's name, or that with `+icl`."""
    shows = member.config.inference_or_default.icl_examples > 0
    adapter = member.config.adapter_spec
    if not member.trains or adapter is None:
        return "icl" if shows else ZERO
    return f"{adapter.method}+icl" if shows else adapter.method


def _calibration(config: ExperimentConfig) -> str | None:
    calibration = config.inference_or_default.calibration
    return None if calibration is None else calibration.method


def _shots(config: ExperimentConfig) -> int:
    """Without shots, the in-context examples are the pool. (A curve has no run on all rows.)"""
    return config.dataset.shots or config.inference_or_default.icl_examples


def _labels(record: RunRecord) -> int:
    budget = record.counts.get("label_budget", 0)
    return sum(budget.values()) if isinstance(budget, Mapping) else int(budget)


def _baselines(groups: Sequence[Group], metric: str, resamples: int) -> list[SampledPoint]:
    """A point per baseline and number of shots: the mean over the different pools of the runs there."""
    by_shots: dict[int, dict[str, Member]] = {}
    for member in (member for group in groups for member in group.finished):
        pool = json.dumps(sorted(member.record.data.get("pool_row_numbers", ())))
        here = by_shots.setdefault(_shots(member.config), {})
        # Rather one whose items can be read.
        if pool not in here or here[pool].judged is None:
            here[pool] = member
    points = []
    for shots, pools in sorted(by_shots.items()):
        for name in BASELINE_TITLES:
            having = [member for member in pools.values() if metric in member.record.baselines.get(name, {})]
            if having:
                points.append(_baseline(name, shots, having, metric, resamples))
    return points


def _baseline(name: str, shots: int, members: Sequence[Member], metric: str, resamples: int) -> SampledPoint:
    values = spread([member.record.baselines[name][metric] for member in members])
    samples = _samples(name, members, metric, resamples, values.mean)
    interval = None if samples is None or name in _CONSTANT else percentile_interval(samples)
    at = CurvePoint(
        shots=shots,
        labels=float(np.mean([_labels(member.record) for member in members])),
        mean=values.mean,
        sd=values.sd,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        runs=values.n,
    )
    return SampledPoint(BASELINE_TITLES[name], None, True, at, samples)


def _samples(
    name: str, members: Sequence[Member], metric: str, resamples: int, mean: float
) -> NDArray[np.float64] | None:
    """[B], paired with those of runs on the same seeds.

    The majority class is a draw from all labels where they have as many shots each; the expectation of its accuracy is
    the same for any test rows, so that it is taken as fixed. So is that of a guess among a row's candidates.
    """
    if resamples == 0:
        return None
    if name in _CONSTANT:
        return np.full(resamples, mean)
    runs = [_judged_baseline(member, name) for member in members]
    known = [run for run in runs if run is not None]
    if len(known) < len(members):
        return None
    seeds = [{"data": member.config.seed_for("data")} for member in members]
    (samples,) = crossed_bootstrap([lambda: resampled(known, seeds)], known[0].rows, resamples)
    return samples.get(metric)


def _judged_baseline(member: Member, name: str) -> JudgedRun | None:
    """None where the run's items can't be read, or its record is of a version that didn't keep predictions."""
    baseline = member.record.baselines[name]
    if member.judged is None or "predictions" not in baseline:
        return None
    outcome = member.judged.outcome
    if isinstance(outcome, MultilabelOutcome):
        has_label = np.array([np.isin(np.arange(len(outcome.labels)), row) for row in baseline["predictions"]])
        return judge(MultilabelOutcome(outcome.labels, outcome.references, has_label), _BASELINE_METRICS, {}, baseline)
    assert isinstance(outcome, ClassificationOutcome)
    predictions = np.array(baseline["predictions"], dtype=np.int64)
    return judge(
        ClassificationOutcome(outcome.labels, outcome.references, predictions), _BASELINE_METRICS, {}, baseline
    )

"""Paired tests between the points of a learning curve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sft.evaluation.statistics.holm import holm
from sft.evaluation.statistics.interval import percentile_interval, two_sided_p
from sft.reporting.curve_points import CurveTest, Question, title_of
from sft.reporting.curve_samples import ZERO, SampledCurve, SampledPoint

_ALPHA = 0.05

Pair = tuple[SampledPoint, SampledPoint]


def curve_tests(curve: SampledCurve) -> list[CurveTest]:
    """Both questions of every curve: is each point above the best baseline, and below the curve's largest?"""
    above = _tests("above the best baseline", _with_baselines(curve), curve.lower_is_better, wanted=1)
    below = _tests("below its largest", _with_largest(curve), curve.lower_is_better, wanted=-1)
    return above + below


def curves_of(points: Iterable[SampledPoint]) -> dict[tuple[str, str | None], list[SampledPoint]]:
    """Method and calibration → points by number of labels, the bare model's without labels first.

    What is learnt from no label is the bare model, whatever would be learnt from labels.
    """
    points = [point for point in points if not point.baseline]
    bare = {point.calibration: point for point in points if point.method == ZERO}
    curves: dict[tuple[str, str | None], list[SampledPoint]] = {}
    for one in points:
        curve = curves.setdefault((one.method, one.calibration), [])
        if not curve and one.method != ZERO and one.calibration in bare:
            curve.append(bare[one.calibration])
        curve.append(one)
    return {key: sorted(curve, key=lambda one: one.point.labels) for key, curve in curves.items()}


def _with_baselines(curve: SampledCurve) -> list[Pair]:
    """Each point of a method and the best baseline on as many shots; where there is none at all, the bare model."""
    best = _better_of(curve.lower_is_better)
    methods = [one for one in curve.points if not one.baseline]
    if len(methods) == len(curve.points):
        bare = {one.calibration: one for one in methods if one.method == ZERO}
        return [(one, bare[one.calibration]) for one in methods if one.method != ZERO and one.calibration in bare]
    pairs = []
    for one in methods:
        there = [other for other in curve.points if other.baseline and other.point.shots == one.point.shots]
        if there:
            pairs.append((one, best(there)))
    return pairs


def _with_largest(curve: SampledCurve) -> list[Pair]:
    return [(one, points[-1]) for points in curves_of(curve.points).values() for one in points[:-1]]


def _better_of(lower_is_better: bool) -> Callable[[Sequence[SampledPoint]], SampledPoint]:
    choose = min if lower_is_better else max
    return lambda points: choose(points, key=lambda one: one.point.mean)


def _tests(question: Question, pairs: Sequence[Pair], lower_is_better: bool, *, wanted: int) -> list[CurveTest]:
    """wanted: the sign of the difference, in favour of the first, that the question asks for."""
    testable = [
        (one, other, one.samples - other.samples)
        for one, other in pairs
        if one.samples is not None and other.samples is not None
    ]
    p_values = [two_sided_p(difference) for _, _, difference in testable]
    direction = -wanted if lower_is_better else wanted
    tests = []
    for (one, other, samples), p, p_holm in zip(testable, p_values, holm(p_values), strict=True):
        interval = percentile_interval(samples)
        difference = one.point.mean - other.point.mean
        tests.append(
            CurveTest(
                question=question,
                # The bare model is a point of every curve, and there it is tested as one of that curve.
                series=title_of(*(other if question == "below its largest" else one)[:2]),
                shots=one.point.shots,
                labels=one.point.labels,
                against=other.method if other.baseline else title_of(other.method, other.calibration),
                difference=difference,
                low=interval.low,
                high=interval.high,
                p=p,
                p_holm=p_holm,
                significant=p_holm < _ALPHA and difference * direction > 0,
            )
        )
    return tests

"""Records of a learning curve → the curve: points, intervals, tests, answers. Pure: no files, no formatting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sft.config.names import dataset_name, model_name
from sft.config.schema import ExperimentConfig
from sft.errors import SftError
from sft.evaluation.resampling import JudgedRun
from sft.evaluation.statistics.spread import FEW
from sft.records import RunRecord
from sft.reporting.curve_answers import answers
from sft.reporting.curve_points import LearningCurve, Series
from sft.reporting.curve_samples import SampledCurve, SampledPoint, sample_points
from sft.reporting.curve_tests import curve_tests
from sft.reporting.headlines import headlines
from sft.reporting.summaries import scalars


def learning_curve(
    records: Sequence[RunRecord],
    judged: Mapping[str, JudgedRun],
    *,
    metric: str | None = None,
    notes: Sequence[str] = (),
) -> LearningCurve:
    """metric: a scalar result; by default the first of the usual ones (accuracy for classification).

    judged: what the runs' items say, by `RunRecord.folder_name`; without it there are no tests. notes: to be shown
    with the curve's own. Raises `SftError` where no run finished.
    """
    finished = [record for record in records if record.status == "completed"]
    if not finished:
        raise SftError("no run of the curve finished", "see the errors of the runs")
    metric = metric or headlines(scalars(finished[0].results))[0]
    sampled = sample_points(records, judged, metric)
    config = ExperimentConfig.model_validate(finished[0].config)
    per_label = config.dataset.task_type in ("classification", "multilabel")
    tests = curve_tests(sampled)
    series = _series(sampled.points)
    titles = [one.title for one in series if not one.baseline]
    return LearningCurve(
        metric=metric,
        model=model_name(config),
        dataset=dataset_name(config),
        per_label=per_label,
        series=series,
        tests=tests,
        answers=answers(titles, tests, per_label=per_label),
        notes=[*notes, *_notes(sampled, finished, tested=bool(tests))],
        resamples=sampled.resamples,
    )


def _series(points: Sequence[SampledPoint]) -> list[Series]:
    """Methods in the order in which they were planned, then baselines."""
    found: dict[tuple[bool, str, str | None], list[SampledPoint]] = {}
    for one in points:
        found.setdefault((one.baseline, one.method, one.calibration), []).append(one)
    return [
        Series(method, calibration, baseline, sorted((one.point for one in members), key=lambda point: point.labels))
        for (baseline, method, calibration), members in sorted(found.items(), key=lambda item: item[0][0])
    ]


def _notes(sampled: SampledCurve, finished: Sequence[RunRecord], *, tested: bool) -> list[str]:
    notes = []
    seeds = {one.point.runs for one in sampled.points if one.point.shots > 0 and not one.baseline}
    if seeds and min(seeds) < FEW:
        notes.append(f"Fewer than {FEW} seeds: intervals are rough, and differences hard to show.")
    if sampled.failed:
        notes.append(f"Every run failed of: {'; '.join(sampled.failed)}.")
    some = sum(one.point.failed for one in sampled.points)
    if some:
        notes.append(f"{some} failed runs are left out of means.")
    if not tested and len(sampled.points) > 1:
        notes.append("No tests: the metric can't be computed on resampled test rows, or the runs' items can't be read.")
    transductive = {
        str(calibration["method"])
        for record in finished
        if (calibration := record.inference.get("calibration") or {}).get("transductive")
    }
    if transductive:
        notes.append(f"Transductive calibration ({', '.join(sorted(transductive))}) saw the unlabelled test inputs.")
    return notes

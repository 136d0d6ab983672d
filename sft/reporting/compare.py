"""Two runs on the same test rows: how their metrics differ, and on which items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.errors import SftError
from sft.evaluation.label_counts import label_counts, label_set_counts, split_counts
from sft.evaluation.outcome import ClassificationOutcome, MultilabelOutcome, Outcome
from sft.evaluation.resampling import JudgedRun, resampled
from sft.evaluation.statistics.bootstrap import ResampledRuns, crossed_bootstrap
from sft.evaluation.statistics.effort import USUAL
from sft.evaluation.statistics.holm import holm
from sft.evaluation.statistics.interval import percentile_interval, two_sided_p
from sft.evaluation.statistics.mcnemar import McNemar, mcnemar
from sft.records import RunRecord, read_record
from sft.reporting.find import run_folder
from sft.reporting.judged import items_of_run, read_judged
from sft.reporting.right import RIGHT, references_of, right_answers, shown_answer
from sft.reporting.summaries import scalars

_PER_CLASS = ("precision", "recall", "f1")
_OF_LABELS = (ClassificationOutcome, MultilabelOutcome)
Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """A result of both runs. of: the label, for results per class. difference: second less first.

    low, high: 95 % interval by the paired bootstrap over test rows; p: two-sided; p_holm: corrected over the table.
    None where the result doesn't follow from sums over rows (ECE, corpus BLEU).
    """

    name: str
    of: str | None
    first: float
    second: float
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None


class DifferingItem(NamedTuple):
    """who: which run was right: `only first`, `only second`, `neither`, `both` (texts can differ and be right)."""

    row: int
    who: str
    inputs: dict[str, str]
    references: list[str]
    first: str
    second: str


@dataclass(frozen=True)
class RunComparison:
    """first, second: names of the runs. right: what makes an answer right in `mcnemar` (accuracy, exact match). items:
    all on which the predictions differ, in the order of test rows. notes: what limits the comparison.
    """

    first: str
    second: str
    rows: int
    metrics: Sequence[Difference]
    classes: Sequence[Difference]
    right: str
    mcnemar: McNemar
    items: Sequence[DifferingItem]
    notes: Sequence[str]
    resamples: int = USUAL


class _Run(NamedTuple):
    folder: Path
    record: RunRecord
    items: list[dict[str, Any]]
    judged: JudgedRun

    @property
    def name(self) -> str:
        return self.record.name or self.folder.resolve().name


def compare_runs(first: Path, second: Path) -> RunComparison:
    """first, second: folders of runs, or their records.

    Raises `SftError` for runs that failed, of different tasks or labels, and on different test rows.
    """
    runs = (_read(first), _read(second))
    _check(*runs)
    outcomes = [run.judged.outcome for run in runs]
    metric = RIGHT[outcomes[0].task_type]
    right = [right_answers(run.judged) for run in runs]
    names = [run.name for run in runs]
    if names[0] == names[1]:
        names = [run.folder.resolve().name for run in runs]
    return RunComparison(
        first=names[0],
        second=names[1],
        rows=len(right[0]),
        metrics=_metrics(*runs),
        classes=_classes(*outcomes),
        right=metric,
        mcnemar=mcnemar(*right),
        items=list(_differing(runs, right)),
        notes=_notes(*runs),
    )


def _read(path: Path) -> _Run:
    folder = run_folder(path)
    record = read_record(folder)
    if record.status != "completed":
        raise SftError(f"{folder}: the run failed", "compare runs that finished")
    return _Run(folder, record, items_of_run(folder, record), read_judged(folder, record))


def _check(first: _Run, second: _Run) -> None:
    tasks = [run.record.config["dataset"]["task_type"] for run in (first, second)]
    if tasks[0] != tasks[1]:
        raise SftError(f"the runs are of different tasks: {tasks[0]} and {tasks[1]}", "compare runs of one task")
    labels = [run.record.data.get("labels") for run in (first, second)]
    if labels[0] != labels[1]:
        raise SftError(f"the runs have different labels: {labels[0]} and {labels[1]}", "compare runs of one label set")
    rows = [run.record.data["test_row_numbers"] for run in (first, second)]
    fix = "run both with the same dataset and dataset.max_n_test"
    if rows[0] != rows[1]:
        shared = len(set(rows[0]) & set(rows[1]))
        raise SftError(
            f"the runs were judged on different test rows: {len(rows[0])} and {len(rows[1])}, of which {shared} have "
            "the same number",
            fix,
        )
    differing = _other_references(first, second)
    if differing:
        raise SftError(f"{differing} of {len(rows[0])} test rows have other references: the data has changed", fix)


def _other_references(first: _Run, second: _Run) -> int:
    return sum(
        (references_of(one), one.get("candidates")) != (references_of(other), other.get("candidates"))
        for one, other in zip(first.items, second.items, strict=True)
    )


def _metrics(first: _Run, second: _Run) -> list[Difference]:
    """Every scalar that both have."""
    samples = crossed_bootstrap(
        [partial(resampled, [run.judged], [{}]) for run in (first, second)], first.judged.rows, USUAL
    )
    values = [scalars(run.record.results) for run in (first, second)]
    shared = [name for name in values[0] if name in values[1]]
    return _tested([(name, None, values[0][name], values[1][name]) for name in shared], shared, *samples)


def _classes(first: Outcome, second: Outcome) -> list[Difference]:
    """Precision, recall and F1 of each label; none where rows share no labels."""
    if not isinstance(first, _OF_LABELS) or not isinstance(second, _OF_LABELS):
        return []
    counts = [_counts(outcome) for outcome in (first, second)]
    samples = crossed_bootstrap([partial(_class_sums, each) for each in counts], len(first.references), USUAL)
    values = [_class_results(each.sum(axis=0)) for each in counts]
    cells = [(kind, label, f"{kind} {i}") for i, label in enumerate(first.labels) for kind in _PER_CLASS]
    rows = [(kind, label, float(values[0][key]), float(values[1][key])) for kind, label, key in cells]
    return _tested(rows, [key for _, _, key in cells], *samples)


def _counts(outcome: ClassificationOutcome | MultilabelOutcome) -> NDArray[np.float32]:
    return label_counts(outcome) if isinstance(outcome, ClassificationOutcome) else label_set_counts(outcome)


def _class_sums(counts: NDArray[np.float32]) -> ResampledRuns:
    return ResampledRuns([{}], {"labels": counts[None]}, {"labels": lambda sums, _: _class_results(sums)})


def _class_results(sums: NDArray[Any]) -> dict[str, Floats]:
    counts = split_counts(sums)
    return {f"{kind} {i}": getattr(counts, kind)[i] for i in range(len(counts.hits)) for kind in _PER_CLASS}


def _tested(
    rows: Sequence[tuple[str, str | None, float, float]],
    keys: Sequence[str],
    first: dict[str, Floats],
    second: dict[str, Floats],
) -> list[Difference]:
    """rows: name, label and both values; keys: their names among the samples of first and second."""
    samples = [second[key] - first[key] if key in first and key in second else None for key in keys]
    p_values = iter(holm([two_sided_p(each) for each in samples if each is not None]))
    found = []
    for (name, label, one, other), differences in zip(rows, samples, strict=True):
        difference = Difference(name, label, one, other, other - one)
        if differences is not None:
            interval = percentile_interval(differences)
            difference = difference._replace(
                low=interval.low, high=interval.high, p=two_sided_p(differences), p_holm=next(p_values)
            )
        found.append(difference)
    return found


def _differing(runs: Sequence[_Run], right: Sequence[NDArray[np.bool_]]) -> Iterator[DifferingItem]:
    who = {(True, False): "only first", (False, True): "only second", (False, False): "neither", (True, True): "both"}
    for i, (one, other) in enumerate(zip(runs[0].items, runs[1].items, strict=True)):
        if one["prediction"] != other["prediction"]:
            yield DifferingItem(
                one["row"],
                who[bool(right[0][i]), bool(right[1][i])],
                one["inputs"],
                references_of(one),
                *(shown_answer(item["prediction"]) for item in (one, other)),
            )


def _notes(first: _Run, second: _Run) -> list[str]:
    notes = []
    ends = [run.record.inference.get("label_end") for run in (first, second)]
    if ends[0] != ends[1]:
        notes.append(f"The runs score labels by different rules (label_end: {ends[0]} and {ends[1]}).")
    for which, run in (("first", first), ("second", second)):
        calibration = run.record.inference.get("calibration") or {}
        if calibration.get("transductive"):
            notes.append(f"The {which} run's calibration ({calibration['method']}) used the unlabelled test inputs.")
    notes.append("Two trained models are compared, not two methods: other seeds may differ otherwise.")
    return notes

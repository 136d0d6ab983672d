"""What a reader of a table must know."""

from __future__ import annotations

from collections.abc import Sequence

from sft.evaluation.statistics.spread import FEW
from sft.reporting.members import Group
from sft.reporting.ranking import Contest, mixed_label_ends


def notes_on(groups: Sequence[Group], contested: Sequence[Contest], resamples: int) -> list[str]:
    return [
        *_label_ends(groups),
        *_test_rows(groups),
        *_transductive(groups),
        *_few_seeds(groups),
        *_missing(groups),
        *_repeated(groups),
        *_over_seeds_only(groups),
        *_too_many_tests(contested, resamples),
    ]


def _label_ends(groups: Sequence[Group]) -> list[str]:
    return [
        f"Runs of {model} score labels by different rules (label_end: {', '.join(sorted(rules))}): they and what was "
        "judged on the same rows are not ranked; set inference.label_end for one rule."
        for model, rules in mixed_label_ends(groups).items()
    ]


def _test_rows(groups: Sequence[Group]) -> list[str]:
    if len({group.test_set for group in groups if group.finished}) < 2:
        return []
    return [
        "Runs were judged on different test rows: configurations are compared and marked only among those with the "
        "same rows."
    ]


def _transductive(groups: Sequence[Group]) -> list[str]:
    calibrations = [member.record.inference.get("calibration") or {} for group in groups for member in group.finished]
    methods = ", ".join(sorted({str(each["method"]) for each in calibrations if each.get("transductive")}))
    return [f"Transductive calibration ({methods}) used the unlabelled test inputs together."] if methods else []


def _few_seeds(groups: Sequence[Group]) -> list[str]:
    if not any(group.few for group in groups):
        return []
    return [
        f"Fewer than {FEW} seeds where marked few: standard deviations are rough, intervals too narrow, p-values too "
        "small."
    ]


def _missing(groups: Sequence[Group]) -> list[str]:
    failed, missing = sum(group.failed for group in groups), sum(group.missing for group in groups)
    notes = [f"Failed runs: {failed}. Means are over the others."] if failed else []
    return [*notes, f"Planned runs without a record: {missing}."] if missing else notes


def _repeated(groups: Sequence[Group]) -> list[str]:
    repeated = sum(group.repeated for group in groups)
    if not repeated:
        return []
    return [f"Runs that differ from another in no seed that matters: {repeated}. The last of each is counted."]


def _over_seeds_only(groups: Sequence[Group]) -> list[str]:
    names = ", ".join(sorted({name for group in groups for run in group.judged or () for name in run.differing}))
    if not names:
        return []
    return [
        f"The items of some runs give another value than their record for {names} (probabilities are stored rounded): "
        "intervals of those are over seeds only."
    ]


def _too_many_tests(contested: Sequence[Contest], resamples: int) -> list[str]:
    tests = sum(len(contest.others) for contest in contested)
    if not tests or 2 * tests / (resamples + 1) < 0.05:
        return []
    return [
        f"{tests} tests on {resamples} resamples: after Holm's correction none can be significant; aggregate fewer "
        "runs together."
    ]

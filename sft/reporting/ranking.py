"""Which configuration is the best of those judged on the same test rows, as far as paired tests tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sft.evaluation.statistics.holm import holm
from sft.evaluation.statistics.interval import percentile_interval, two_sided_p
from sft.reporting.members import Group
from sft.reporting.resample import Samples
from sft.reporting.rows import Comparison, Mark

_ALPHA = 0.05


class Contest(NamedTuple):
    """Configurations (by position) that can be ranked by a metric, the best mean first in `best`."""

    metric: str
    best: int
    others: Sequence[int]


def contests(groups: Sequence[Group], metrics: Sequence[str]) -> list[Contest]:
    """One for each metric and test set with two or more configurations.

    None where a model's runs score labels by different rules, and none for a metric that a configuration has but whose
    test rows can't be resampled: the best might be that one.
    """
    found = []
    for numbers in _by_test_set(groups):
        if mixed_label_ends([groups[number] for number in numbers]):
            continue
        for metric in metrics:
            having = {number: mean for number in numbers if (mean := _mean(groups[number], metric)) is not None}
            if len(having) < 2 or not all(_can_be_resampled(groups[number], metric) for number in having):
                continue
            judged = groups[next(iter(having))].judged or []
            sign = -1 if metric in judged[0].lower_is_better else 1
            best = max(having, key=lambda number: sign * having[number])
            found.append(Contest(metric, best, [number for number in having if number != best]))
    return found


def compare(contested: Sequence[Contest], groups: Sequence[Group], samples: Sequence[Samples]) -> list[Comparison]:
    """Every other configuration against the best; p-values Holm-corrected over all of them.

    samples: for each configuration, result name → [B], paired.
    """
    differences = [
        (contest, other, samples[contest.best][contest.metric] - samples[other][contest.metric])
        for contest in contested
        for other in contest.others
    ]
    p_values = [two_sided_p(difference) for _, _, difference in differences]
    comparisons = []
    for (contest, other, difference), p, p_holm in zip(differences, p_values, holm(p_values), strict=True):
        interval = percentile_interval(difference)
        means = [_mean(groups[number], contest.metric) or 0.0 for number in (contest.best, other)]
        comparisons.append(
            Comparison(contest.metric, contest.best, other, means[0] - means[1], interval.low, interval.high, p, p_holm)
        )
    return comparisons


def marks(comparisons: Sequence[Comparison], configurations: int) -> list[dict[str, Mark]]:
    """For each configuration, metric → its mark.

    The best is marked as such where every other one is significantly worse; where only some are, it and those that are
    not are tied; where none is, nothing is marked.
    """
    found: list[dict[str, Mark]] = [{} for _ in range(configurations)]
    contested: dict[tuple[str, int], list[Comparison]] = {}
    for comparison in comparisons:
        contested.setdefault((comparison.metric, comparison.best), []).append(comparison)
    for (metric, best), tests in contested.items():
        level = [test.other for test in tests if test.p_holm >= _ALPHA]
        if not level:
            found[best][metric] = "best"
        elif len(level) < len(tests):
            for number in (best, *level):
                found[number][metric] = "tied"
    return found


def mixed_label_ends(groups: Sequence[Group]) -> Mapping[str, set[str]]:
    """Model → rules by which its runs score labels, where there are several."""
    ends: dict[str, set[str]] = {}
    for member in (member for group in groups for member in group.finished):
        if "label_end" in member.record.inference:
            ends.setdefault(str(member.record.model.get("base")), set()).add(member.record.inference["label_end"])
    return {model: rules for model, rules in ends.items() if len(rules) > 1}


def _by_test_set(groups: Sequence[Group]) -> Iterator[list[int]]:
    for test_set in dict.fromkeys(group.test_set for group in groups if group.test_set is not None):
        yield [number for number, group in enumerate(groups) if group.test_set == test_set]


def _mean(group: Group, metric: str) -> float | None:
    values = [member.record.results.get(metric) for member in group.finished]
    numbers = [float(value) for value in values if isinstance(value, (int, float))]
    return float(np.mean(numbers)) if numbers else None


def _can_be_resampled(group: Group, metric: str) -> bool:
    judged = group.judged
    return judged is not None and all(metric in run.results for run in judged)

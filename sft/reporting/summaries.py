"""Numbers over the seeds of one configuration, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sft.evaluation.statistics.interval import percentile_interval
from sft.evaluation.statistics.spread import spread
from sft.evaluation.statistics.variance import variance_components
from sft.reporting.members import Group
from sft.reporting.resample import Samples, over_seeds, variance_over_rows
from sft.reporting.rows import Summary

TEST_ROWS = "test rows"
_SEED_RESAMPLES = 9_999


def scalars(results: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among results."""
    return {
        name: float(value)
        for name, value in results.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def summaries(group: Group, samples: Samples) -> dict[str, Summary]:
    """Every scalar metric of the finished runs.

    samples: result name → [B] over seeds and test rows. A metric without samples has an interval over seeds only; that
    of a run without seeds, or of a single one, is over test rows only.
    """
    of_runs = [scalars(member.record.results) for member in group.finished]
    return {name: _summary(group, name, of_runs, samples) for name in _names(of_runs)}


def baselines(group: Group) -> dict[str, dict[str, Summary]]:
    """Baseline → its scalar metrics, without intervals."""
    names = sorted({name for member in group.finished for name in member.record.baselines})
    found = {}
    for baseline in names:
        of_runs = [scalars(member.record.baselines.get(baseline, {})) for member in group.finished]
        found[baseline] = {
            name: Summary(**asdict(spread([run[name] for run in of_runs if name in run]))) for name in _names(of_runs)
        }
    return found


def variance(group: Group, metrics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Metric → source → variance; nothing where seeds weren't varied apart."""
    found: dict[str, dict[str, float]] = {}
    for metric in metrics:
        values = [scalars(member.record.results).get(metric) for member in group.finished]
        if any(value is None for value in values):
            continue
        components = variance_components(
            [value for value in values if value is not None], [member.seeds for member in group.finished]
        )
        if components:
            found[metric] = components
    over_rows = variance_over_rows(group) if found else {}
    return {
        metric: {**components, TEST_ROWS: over_rows[metric]} if metric in over_rows else components
        for metric, components in found.items()
    }


def _summary(group: Group, name: str, of_runs: Sequence[Mapping[str, float]], samples: Samples) -> Summary:
    values = [run[name] for run in of_runs if name in run]
    summary = Summary(**asdict(spread(values)), few=group.few)
    several = len(values) > 1
    if name in samples:
        interval, over = percentile_interval(samples[name]), f"seeds and {TEST_ROWS}" if several else TEST_ROWS
    elif several and len(values) == len(group.finished):
        interval, over = percentile_interval(over_seeds(group, values, _SEED_RESAMPLES)), "seeds"
    else:
        return summary
    return replace(summary, low=interval.low, high=interval.high, interval_over=over)


def _names(of_runs: Sequence[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for run in of_runs for name in run))

"""The rows of a table: single runs, and configurations over their seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sft.evaluation.statistics.spread import Spread

# "best" is shown to be better than every other; "tied": the highest or not shown to be worse, while another is.
Mark = Literal["best", "tied"]


@dataclass(frozen=True)
class Summary(Spread):
    """A number over seeds, with its interval.

    low, high: 95 % interval of the mean, None where there is none. interval_over: what was resampled for it ("seeds and
    test rows", "test rows" or "seeds"). few: whether fewer than 5 seeds were tried, so that intervals are too narrow.
    """

    low: float | None = None
    high: float | None = None
    interval_over: str | None = None
    few: bool = False


@dataclass(frozen=True)
class RunRow:
    """One finished or failed run."""

    name: str | None
    run_id: str
    seed: int
    status: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    seconds: float | None
    error: str | None
    folder: str


@dataclass(frozen=True)
class ConfigurationRow:
    """All finished runs of one configuration on the same test rows.

    seeds: of the finished runs; empty too where no seed matters. seedless: whether no seed matters. failed, missing:
    how many of its runs failed, and how many were planned and have no record. test_set: configurations with the same
    one are judged on the same rows; None where none finished. marks: by metric. variance: metric → source of variance →
    variance of a run's result due to it, where seeds were varied apart.
    """

    settings: Mapping[str, Any]
    seeds: Sequence[int]
    metrics: Mapping[str, Summary]
    baselines: Mapping[str, Mapping[str, Summary]]
    failed: int
    missing: int = 0
    seedless: bool = False
    test_set: str | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    variance: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """A paired test of a configuration against the best one on its test rows.

    best, other: positions in the table's configurations. difference: best less other, with its 95 % interval. p:
    two-sided; p_holm: corrected for all comparisons of the table.
    """

    metric: str
    best: int
    other: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class ReportTable:
    """One row per run and one per configuration.

    varying: the settings in which configurations differ, in column order. constant: settings with one value wherever
    they occur (an untrained configuration has no learning rate). notes: what a reader must know. comparisons: the tests
    behind the marks. resamples: of each bootstrap; 0 where there was none.
    """

    runs: Sequence[RunRow]
    configurations: Sequence[ConfigurationRow]
    varying: Sequence[str]
    constant: Mapping[str, Any]
    notes: Sequence[str]
    comparisons: Sequence[Comparison] = ()
    resamples: int = 0

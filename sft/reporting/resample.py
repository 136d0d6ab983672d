"""Bootstrap samples of every configuration of a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.resampling import resampled
from sft.evaluation.statistics.bootstrap import ResampledRuns, crossed_bootstrap
from sft.evaluation.statistics.effort import resamples_for
from sft.evaluation.statistics.weights import seed_weights
from sft.reporting.members import Group

# What computing results from sums costs, in rows to be summed.
_RESULTS = 300

Samples = dict[str, NDArray[np.float64]]


class Bootstrap(NamedTuple):
    """resamples: B, 0 where no configuration could be resampled. crossed: for each configuration, result name → [B]
    over seeds and test rows (empty where its runs can't be resampled). Samples of configurations with one test set are
    paired.
    """

    resamples: int
    crossed: list[Samples]


def bootstrap(groups: Sequence[Group], tests: int) -> Bootstrap:
    """tests: how many differences will be tested together."""
    chosen = {number: judged for number, group in enumerate(groups) if (judged := group.judged)}
    work = float(sum((run.rows + _RESULTS) * run.width for judged in chosen.values() for run in judged))
    resamples = resamples_for(work, tests) if chosen else 0
    crossed: list[Samples] = [{} for _ in groups]
    for test_set in dict.fromkeys(groups[number].test_set for number in chosen):
        numbers = [number for number in chosen if groups[number].test_set == test_set]
        rows = chosen[numbers[0]][0].rows
        lazily = [partial(_runs, groups[number]) for number in numbers]
        samples = crossed_bootstrap(lazily, rows, resamples)
        for number, found in zip(numbers, samples, strict=True):
            crossed[number] = found
    return Bootstrap(resamples, crossed)


def over_seeds(group: Group, values: Sequence[float], resamples: int) -> NDArray[np.float64]:
    """[B] means over resampled seeds of one value per finished run."""
    weights = seed_weights([member.seeds for member in group.finished], resamples)
    samples: NDArray[np.float64] = np.asarray(values, dtype=np.float64) @ weights
    return samples


def _runs(group: Group) -> ResampledRuns:
    judged = group.judged
    assert judged is not None
    return resampled(judged, [member.seeds for member in group.finished])


def variance_over_rows(group: Group, resamples: int = 1_999) -> dict[str, float]:
    """Result name → variance of one run's result over resampled test rows, mean over the finished runs.

    Nothing where a run can't be resampled.
    """
    judged = group.judged
    if judged is None:
        return {}
    alone = [partial(resampled, [run], [{}]) for run in judged]
    samples = crossed_bootstrap(alone, judged[0].rows, resamples)
    names = set.intersection(*(set(of_run) for of_run in samples))
    return {name: float(np.mean([of_run[name].var(ddof=1) for of_run in samples])) for name in names}

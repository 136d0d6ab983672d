"""The crossed bootstrap: seeds and test rows resampled independently of one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.statistics.design import Seeds
from sft.evaluation.statistics.weights import row_weights, seed_weights

Floats = NDArray[np.float64]


class ResampledRuns(NamedTuple):
    """The runs of one configuration, all judged on the same N rows.

    seeds: for each of the R runs, the seeds that matter, by name. sums: form → [R, N, K], what each row adds to K sums.
    results: form → the results that follow from [K, ...] sums over N rows, by name, each [...].
    """

    seeds: Sequence[Seeds]
    sums: Mapping[str, NDArray[Any]]
    results: Mapping[str, Callable[[Floats, int], Mapping[str, Floats]]]


def crossed_bootstrap(
    configurations: Sequence[Callable[[], ResampledRuns]], rows: int, resamples: int
) -> list[dict[str, Floats]]:
    """For each configuration: result name → [B] its mean over the resampled seeds, on the resampled rows.

    All configurations meet the same rows in sample b, and those with the same seeds the same seeds: the difference of
    two of the arrays is the paired bootstrap of their difference. A configuration with a single run (no seed matters,
    or one was tried) has only its rows resampled. configurations: called when needed, so that not all are in memory.
    """
    found: list[dict[str, Floats]] = [{} for _ in configurations]
    seeds: dict[int, Floats] = {}
    done = 0
    for weights in row_weights(rows, resamples):
        part = slice(done, done + weights.shape[1])
        for number, configuration in enumerate(configurations):
            runs = configuration()
            if number not in seeds:
                seeds[number] = seed_weights(runs.seeds, resamples)
            for name, values in _resampled(runs, weights, rows).items():
                into = found[number].setdefault(name, np.empty(resamples))
                into[part] = np.einsum("rb,rb->b", values, seeds[number][:, part])
        done = part.stop
    return found


def _resampled(runs: ResampledRuns, weights: NDArray[np.float32], rows: int) -> dict[str, Floats]:
    """Result name → [R, b] of each run on each of b samples of rows."""
    values: dict[str, Floats] = {}
    for form, sums in runs.sums.items():
        count, _, width = sums.shape
        flat = sums.transpose(2, 0, 1).reshape(width * count, rows).astype(np.float32)
        summed = (flat @ weights).reshape(width, count, weights.shape[1]).astype(np.float64)
        values |= runs.results[form](summed, rows)
    return values

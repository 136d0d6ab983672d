"""How often each test row and each seed occurs in each bootstrap sample."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.statistics.design import Seeds, is_crossed, seed_factors

_SEED = 20190813
_ROW_STREAM, _SEED_STREAM = 0, 1
_ENTRIES_AT_ONCE = 8_000_000


def row_weights(rows: int, resamples: int) -> Iterator[NDArray[np.float32]]:
    """[N, b] counts, whose columns sum to N, in slices over all resamples: N rows drawn with replacement, again and
    again.

    They depend on `rows` and the position only, so that all configurations judged on the same rows meet the same
    samples: that makes differences paired.
    """
    generator = np.random.default_rng((_SEED, _ROW_STREAM, rows))
    at_once = max(1, min(resamples, _ENTRIES_AT_ONCE // rows))
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = generator.integers(0, rows, size=(count, rows), dtype=np.int32)
        drawn += (np.arange(count, dtype=np.int32) * rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)
        yield counts.astype(np.float32).T


def seed_weights(runs: Sequence[Seeds], resamples: int) -> NDArray[np.float64]:
    """[R, B] weights of the runs of one configuration in each sample; they sum to 1.

    From n seeds n - 1 are drawn with replacement (Rao & Wu 1988): with n, the variance of the mean comes out too small
    by (n - 1) / n, which is half of it for two seeds. Where seeds were varied apart and fully crossed, each is
    resampled independently and a run has the product of its seeds' counts (Owen 2007); otherwise runs are resampled as
    wholes.
    Configurations with the same seeds meet the same samples. runs: for each run, the seeds that matter, by name.
    """
    factors = seed_factors(runs)
    if not is_crossed(factors):
        return _normalized(_level_counts(("runs", *sorted(map(_values, runs))), _ranks(runs), resamples))
    weights = np.ones((len(runs), resamples))
    for factor in factors:
        weights *= _level_counts((factor.names[0], *factor.levels), factor.of_run, resamples)
    return _normalized(weights)


def _level_counts(key: Sequence[object], of_run: Sequence[int], resamples: int) -> NDArray[np.float64]:
    """[R, B] how often each run's level was drawn. The same key gives the same draws."""
    levels = len(key) - 1
    generator = np.random.default_rng((_SEED, _SEED_STREAM, zlib.crc32(repr(tuple(key)).encode())))
    counts: NDArray[np.int64] = generator.multinomial(levels - 1, np.full(levels, 1 / levels), size=resamples)
    return counts.T[list(of_run)].astype(np.float64)


def _ranks(runs: Sequence[Seeds]) -> list[int]:
    ordered = sorted(map(_values, runs))
    return [ordered.index(_values(run)) for run in runs]


def _values(run: Seeds) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(run.items()))


def _normalized(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    normalized: NDArray[np.float64] = weights / weights.sum(axis=0)
    return normalized

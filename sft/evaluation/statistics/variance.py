"""How much of a result's variance is due to which seed, where seeds were varied apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sft.evaluation.statistics.design import Factor, Seeds, seed_factors

REMAINDER = "remainder"

Floats = NDArray[np.float64]


def variance_components(values: Sequence[float], runs: Sequence[Seeds]) -> dict[str, float]:
    """Source → variance of a run's result due to it; nothing where no two seeds were varied apart.

    values: [R] one result per run; runs: the seeds that matter to each, by name. The model is additive: an effect per
    seed factor and a remainder (interactions). Components by Henderson's method III (1953; Searle, Casella & McCulloch
    1992, chapter 5): what a factor explains beyond the others, less what the remainder is expected to give; with one
    run per combination that is the analysis of variance, and runs may be missing. Negative estimates are 0. Without
    degrees of freedom for the remainder (each seed varied alone) it is contained in the others, and absent. A factor
    that others determine can't be told from them, and is absent too.
    """
    factors = seed_factors(runs)
    if len(factors) < 2:
        return {}
    y = np.asarray(values, dtype=np.float64)
    everything = _residual_maker(factors, len(y))
    freedom = round(np.trace(everything))
    remainder = float(y @ everything @ y) / freedom if freedom else None
    components = {}
    for factor in factors:
        others = _residual_maker([other for other in factors if other is not factor], len(y))
        indicator = _indicators(factor)
        weight = float(np.trace(indicator.T @ others @ indicator))
        if weight < 1e-9:
            continue
        explained = float(y @ (others - everything) @ y)
        expected = (remainder or 0.0) * round(np.trace(others) - freedom)
        components[factor.source] = max(0.0, (explained - expected) / weight)
    return components if remainder is None else {**components, REMAINDER: remainder}


def _residual_maker(factors: Sequence[Factor], runs: int) -> Floats:
    """[R, R] the projection onto what a mean and the factors don't explain."""
    columns = np.concatenate([np.ones((runs, 1)), *(_indicators(factor) for factor in factors)], axis=1)
    projection: Floats = np.eye(runs) - columns @ np.linalg.pinv(columns)
    return projection


def _indicators(factor: Factor) -> Floats:
    """[R, levels] which level each run has."""
    indicators: Floats = np.eye(len(factor.levels))[list(factor.of_run)]
    return indicators

"""The crossed bootstrap against brute force, closed forms, SciPy, and what its intervals promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from sft.evaluation.metrics import compute_metrics
from sft.evaluation.outcome import ClassificationOutcome
from sft.evaluation.resampling import judge, resampled
from sft.evaluation.statistics.bootstrap import ResampledRuns, crossed_bootstrap
from sft.evaluation.statistics.interval import percentile_interval, two_sided_p
from sft.evaluation.statistics.weights import row_weights, seed_weights

NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "weighted_f1", "mcc", "brier", "nll")


def outcomes(runs: int, rows: int) -> list[ClassificationOutcome]:
    generator = np.random.default_rng(5)
    references = generator.integers(0, 3, rows)
    probabilities = generator.dirichlet(np.ones(3), (runs, rows))
    return [ClassificationOutcome(("a", "b", "c"), references, p.argmax(axis=1), p) for p in probabilities]


def means(values: np.ndarray, seeds: int | None = None) -> ResampledRuns:
    """Runs whose result `mean` is a mean over rows; values: [R, N]."""
    named = [{"data": seed} for seed in range(len(values))] if seeds is None else [{}]
    return ResampledRuns(named, {"mean": values[:, :, None]}, {"mean": lambda sums, rows: {"mean": sums[0] / rows}})


def test_every_result_is_that_of_the_rows_written_out() -> None:
    runs, seeds, resamples = outcomes(3, 25), [{"data": s} for s in (1, 2, 3)], 12
    judged = [judge(run, None, {}, compute_metrics(run, None, {})) for run in runs]
    (found,) = crossed_bootstrap([lambda: resampled(judged, seeds)], 25, resamples)
    assert set(found) == set(NAMES)
    rows, of_seeds = np.concatenate(list(row_weights(25, resamples)), axis=1), seed_weights(seeds, resamples)
    for b in range(resamples):
        drawn = np.repeat(np.arange(25), rows[:, b].astype(int))
        results = [
            compute_metrics(
                ClassificationOutcome(
                    run.labels, run.references[drawn], run.predictions[drawn], run.probabilities[drawn]
                ),
                ("accuracy", "balanced_accuracy", "f1", "mcc", "brier", "nll"),
                {},
            )
            for run in runs
            if run.probabilities is not None
        ]
        for name in NAMES:
            expected = sum(weight * result[name] for weight, result in zip(of_seeds[:, b], results, strict=True))
            assert found[name][b] == pytest.approx(expected, abs=2e-6)


def test_the_interval_of_one_run_is_scipy_s() -> None:
    values = (np.random.default_rng(3).random((1, 300)) < 0.8).astype(float)
    (found,) = crossed_bootstrap([lambda: means(values)], 300, 9_999)
    ours = percentile_interval(found["mean"])
    theirs = scipy_bootstrap(
        (values[0],), np.mean, n_resamples=9_999, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_the_variance_is_that_of_seeds_and_rows_added() -> None:
    """Additive values: seed effect + row effect, without interaction, so the closed form is exact."""
    generator = np.random.default_rng(4)
    seeds, rows = generator.normal(0, 1, 6), generator.normal(0, 3, 80)
    (found,) = crossed_bootstrap([lambda: means(seeds[:, None] + rows)], 80, 30_000)
    assert found["mean"].var() == pytest.approx(seeds.var(ddof=1) / 6 + rows.var() / 80, rel=0.03)


def test_differences_are_paired_over_rows_and_seeds() -> None:
    """A configuration that is better by a constant everywhere is better in every sample."""
    values = np.random.default_rng(6).normal(size=(5, 40))
    first, second = crossed_bootstrap([lambda: means(values), lambda: means(values + 0.25)], 40, 500)
    np.testing.assert_allclose(second["mean"] - first["mean"], 0.25, atol=1e-6)


def test_a_configuration_without_seeds_is_compared_with_every_seed_of_the_other() -> None:
    values = np.random.default_rng(7).normal(size=(5, 40))
    first, second = crossed_bootstrap([lambda: means(values[:1], 0), lambda: means(values)], 40, 300)
    alone = np.concatenate(list(row_weights(40, 300)), axis=1).T @ values[0] / 40
    np.testing.assert_allclose(first["mean"], alone, atol=1e-6)
    assert second["mean"].std() > 0


def simulated(seeds: int, rows: int, generator: np.random.Generator, seed_sd: float) -> np.ndarray:
    """[R, N] with mean 0: an effect of the seed, one of the row, and noise."""
    effect_of_row = generator.normal(0, 1, rows)
    return generator.normal(0, seed_sd, (seeds, 1)) + effect_of_row + generator.normal(0, 0.5, (seeds, rows))


def coverage(seeds: int, seed_sd: float, simulations: int = 300) -> float:
    generator = np.random.default_rng(8)
    hits = 0
    for _ in range(simulations):
        values = simulated(seeds, 60, generator, seed_sd)
        (found,) = crossed_bootstrap([lambda values=values: means(values)], 60, 600)
        low, high = percentile_interval(found["mean"])
        hits += low <= 0 <= high
    return hits / simulations


# Where seeds matter as much as rows do: sd of a mean over 60 rows is 1 / sqrt(60) = 0.13.
@pytest.mark.parametrize(
    ("seeds", "seed_sd", "at_least", "at_most"), [(1, 0.0, 0.91, 0.98), (20, 0.5, 0.90, 0.98), (10, 0.2, 0.90, 0.98)]
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(
    seeds: int, seed_sd: float, at_least: float, at_most: float
) -> None:
    assert at_least <= coverage(seeds, seed_sd) <= at_most


def test_with_few_seeds_that_matter_intervals_are_too_narrow_as_tables_say() -> None:
    assert 0.6 < coverage(3, 0.5) < 0.91


def test_a_difference_that_is_not_there_is_found_in_about_five_percent() -> None:
    generator = np.random.default_rng(9)
    found = 0
    for _ in range(300):
        first, second = (simulated(10, 60, generator, 0.2) for _ in range(2))
        row = generator.normal(0, 1, 60)
        pair = [lambda v=first + row: means(v), lambda v=second + row: means(v)]
        samples = crossed_bootstrap(pair, 60, 600)
        found += two_sided_p(samples[0]["mean"] - samples[1]["mean"]) < 0.05
    assert 0.01 <= found / 300 <= 0.10

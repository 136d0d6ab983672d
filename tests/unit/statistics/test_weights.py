"""How often rows and seeds are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from sft.evaluation.statistics import weights as module
from sft.evaluation.statistics.weights import row_weights, seed_weights

FIVE = [{"data": s, "icl": s, "train": s} for s in range(5)]


def all_rows(rows: int, resamples: int) -> np.ndarray:
    return np.concatenate(list(row_weights(rows, resamples)), axis=1)


def test_every_sample_draws_as_many_rows_as_there_are_each_as_often_as_another() -> None:
    drawn = all_rows(20, 4_000)
    assert drawn.shape == (20, 4_000)
    assert (drawn.sum(axis=0) == 20).all()
    # A multinomial count of 20 draws has mean 1 and variance 20 · 1/20 · 19/20.
    np.testing.assert_allclose(drawn.mean(axis=1), 1, atol=5 * (0.95 / 4_000) ** 0.5)
    np.testing.assert_allclose(drawn.var(axis=1), 0.95, rtol=0.15)


def test_samples_are_the_same_every_time_and_in_slices_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = all_rows(7, 100)
    np.testing.assert_array_equal(all_rows(7, 100), whole)
    monkeypatch.setattr(module, "_ENTRIES_AT_ONCE", 7 * 30)
    assert [part.shape[1] for part in row_weights(7, 100)] == [30, 30, 30, 10]
    assert (all_rows(7, 100).sum(axis=0) == 7).all()


def test_one_fewer_seed_is_drawn_than_there_are() -> None:
    drawn = seed_weights(FIVE, 2_000)
    np.testing.assert_allclose(drawn.sum(axis=0), 1)
    assert set(np.unique(np.round(drawn * 4, 9))) == {0.0, 1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_variance_of_the_resampled_mean_is_the_unbiased_one(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    means = values @ seed_weights([{"data": s} for s in range(n)], 60_000)
    assert means.var() == pytest.approx(values.var(ddof=1) / n, rel=0.03)


def test_configurations_with_the_same_seeds_meet_the_same_samples_in_any_order() -> None:
    other_seeds_matter = [{"data": s, "icl": s} for s in reversed(range(5))]
    np.testing.assert_array_equal(seed_weights(FIVE, 50), seed_weights(other_seeds_matter, 50)[::-1])


def test_configurations_with_other_seeds_meet_independent_samples() -> None:
    first = seed_weights(FIVE, 20_000)
    second = seed_weights([{"data": s} for s in range(1, 6)], 20_000)
    assert abs(np.corrcoef(first[0], second[0])[0, 1]) < 0.03


def test_crossed_seeds_are_drawn_independently_and_multiplied() -> None:
    runs = [{"data": d, "train": t} for d in range(3) for t in range(4)]
    drawn = seed_weights(runs, 20_000).reshape(3, 4, -1)
    of_data, of_train = drawn.sum(axis=1), drawn.sum(axis=0)
    np.testing.assert_allclose(drawn, of_data[:, None] * of_train[None], atol=1e-12)
    assert abs(np.corrcoef(of_data[0], of_train[0])[0, 1]) < 0.03


def test_seeds_that_are_not_fully_crossed_are_drawn_as_whole_runs() -> None:
    star = [{"data": 1, "train": 1}, {"data": 2, "train": 1}, {"data": 1, "train": 2}]
    drawn = seed_weights(star, 500)
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(np.unique(drawn), [0.0, 0.5, 1.0])


def test_a_single_run_is_always_drawn() -> None:
    assert (seed_weights([{"data": 3}], 10) == 1).all()
    assert (seed_weights([{}], 10) == 1).all()

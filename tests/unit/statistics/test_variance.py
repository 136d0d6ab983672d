"""Variance components against the textbook's analysis of variance and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from sft.evaluation.statistics.design import Seeds
from sft.evaluation.statistics.variance import variance_components


def grid(subsets: int, starts: int) -> list[Seeds]:
    return [{"data": d, "train": t} for d in range(subsets) for t in range(starts)]


def test_a_balanced_design_gives_the_textbook_s_two_way_analysis_of_variance() -> None:
    y = np.random.default_rng(1).normal(size=(4, 3)) + np.arange(4)[:, None] * 2 + np.arange(3) * 1.5
    rows, columns = y.mean(axis=1), y.mean(axis=0)
    between_rows = 3 * ((rows - y.mean()) ** 2).sum() / 3
    between_columns = 4 * ((columns - y.mean()) ** 2).sum() / 2
    remainder = ((y - rows[:, None] - columns + y.mean()) ** 2).sum() / 6
    assert variance_components(y.ravel().tolist(), grid(4, 3)) == pytest.approx(
        {
            "subset": (between_rows - remainder) / 3,
            "initialisation": (between_columns - remainder) / 4,
            "remainder": remainder,
        }
    )


@pytest.mark.parametrize("missing", [0, 3])
def test_estimates_are_right_on_average_with_runs_missing_too(missing: int) -> None:
    generator = np.random.default_rng(2)
    truth = {"subset": 4.0, "initialisation": 1.0, "remainder": 0.25}
    runs = grid(6, 5)[missing:]
    estimates = []
    for _ in range(400):
        subset, start = generator.normal(0, 2, 6), generator.normal(0, 1, 5)
        values = [subset[run["data"]] + start[run["train"]] + generator.normal(0, 0.5) for run in runs]
        estimates.append(variance_components(values, runs))
    for source, variance in truth.items():
        found = np.array([estimate[source] for estimate in estimates])
        assert found.mean() == pytest.approx(variance, abs=4 * found.std() / 20)


def test_three_seeds_varied_apart_are_three_sources() -> None:
    runs = [{"data": d, "icl": i, "train": t} for d in range(3) for i in range(3) for t in range(3)]
    values = [100.0 * run["data"] + 10.0 * run["icl"] + run["train"] for run in runs]
    # sample variances of 0, 100, 200; of 0, 10, 20; of 0, 1, 2; nothing is left over
    assert variance_components(values, runs) == pytest.approx(
        {"subset": 10_000.0, "order": 100.0, "initialisation": 1.0, "remainder": 0.0}, abs=1e-6
    )


def test_negative_estimates_are_zero() -> None:
    values = [0.0, 1.0, 1.0, 0.0]
    expected = {"subset": 0.0, "initialisation": 0.0, "remainder": 1.0}
    assert variance_components(values, grid(2, 2)) == pytest.approx(expected)


def test_seeds_varied_one_at_a_time_leave_no_remainder() -> None:
    star = [{"data": 1, "train": 1}, {"data": 2, "train": 1}, {"data": 1, "train": 2}]
    # half the squared difference of two values is their variance
    assert variance_components([0.0, 2.0, 6.0], star) == pytest.approx({"subset": 2.0, "initialisation": 18.0})


SILENT: list[list[Seeds]] = [
    [{"data": s, "icl": s, "train": s} for s in range(4)],
    [{"data": 1, "train": s} for s in range(4)],
    [{}],
    [],
]


@pytest.mark.parametrize("runs", SILENT)
def test_nothing_is_said_where_seeds_were_not_varied_apart(runs: list[Seeds]) -> None:
    assert variance_components([float(i) for i in range(len(runs))], runs) == {}


def test_a_seed_that_another_determines_is_left_out() -> None:
    nested = [{"data": d, "train": 10 * d + t} for d in range(3) for t in range(2)]
    assert "subset" not in variance_components([float(i) for i in range(6)], nested)

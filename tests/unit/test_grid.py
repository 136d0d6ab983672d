"""A grid of training arguments: its points, and which of them is the best."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from sft.pipeline.grid import FoldResult, Point, best_point, grid_points, summarise, with_values
from tests.fakes import make_config


def point(mean: float | None, epochs: float = 1.0, name: str = "") -> Point:
    return Point({"name": name}, [mean], mean, None, epochs)


def test_points_are_all_combinations_in_an_order_that_no_order_of_keys_changes() -> None:
    grid = {"num_train_epochs": [3, 1], "learning_rate": [0.1, 0.2]}
    expected = [
        {"learning_rate": 0.1, "num_train_epochs": 3},
        {"learning_rate": 0.1, "num_train_epochs": 1},
        {"learning_rate": 0.2, "num_train_epochs": 3},
        {"learning_rate": 0.2, "num_train_epochs": 1},
    ]
    assert grid_points(grid) == grid_points(dict(reversed(grid.items()))) == expected


# (points, whether higher is better, the place of the best)
CHOICES: list[tuple[list[Point], bool, int | None]] = [
    ([point(0.5), point(0.25), point(0.75)], False, 1),
    ([point(0.5), point(0.25), point(0.75)], True, 2),
    ([point(0.5, epochs=4), point(0.5, epochs=2), point(0.6, epochs=1)], False, 1),
    ([point(0.5, name="first"), point(0.5, name="second")], True, 0),
    ([point(None), point(9.0)], False, 1),
    ([point(None), point(0.0)], True, 1),
    ([point(None), point(None)], False, None),
    # The mean of 0.1, 0.2 and 0.3 depends on their order in the last digit.
    ([point((0.1 + 0.2) + 0.3, epochs=2), point(0.1 + (0.2 + 0.3), epochs=1)], True, 1),
]


@pytest.mark.parametrize(("points", "higher_is_better", "place"), CHOICES)
def test_the_best_mean_is_chosen_then_the_fewest_epochs_then_the_first(
    points: list[Point], higher_is_better: bool, place: int | None
) -> None:
    best = best_point(points, higher_is_better=higher_is_better)
    assert best is (None if place is None else points[place])


def test_a_point_has_mean_and_standard_deviation_over_folds() -> None:
    scores = [0.5, 0.25, 1.0]
    results = [FoldResult({"learning_rate": 1}, fold, score, fold + 1.0, 9.0) for fold, score in enumerate(scores)]
    have = summarise({"learning_rate": 1}, results)
    assert have.fold_scores == scores
    assert have.mean == pytest.approx(sum(scores) / 3)
    assert have.sd == pytest.approx(statistics.stdev(scores))
    assert have.epochs == 2.0


def test_a_point_that_diverged_on_a_fold_has_no_mean() -> None:
    results = [FoldResult({}, 0, 0.5, 1.0, 9.0), FoldResult({}, 1, None, 0.0, 9.0)]
    assert (summarise({}, results).mean, summarise({}, results).sd) == (None, None)


def test_the_chosen_values_take_the_place_of_the_grid() -> None:
    training: dict[str, Any] = {"trainer_args": {"max_steps": 3}, "select": {"grid": {"learning_rate": [1e-3, 1e-4]}}}
    config = with_values(make_config(training=training), {"learning_rate": 1e-4})
    assert config == make_config(training={"trainer_args": {"max_steps": 3, "learning_rate": 1e-4}})

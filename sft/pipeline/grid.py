"""A grid of training arguments, what cross-validation said of its points, and which is chosen. Pure."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sft.config.schema import ExperimentConfig

Values = Mapping[str, Any]


@dataclass(frozen=True)
class FoldResult:
    """What a point of the grid gave on one fold.

    score: of the held-out shots; None where the training diverged. epochs: passes over the other shots.
    """

    values: Values
    fold: int
    score: float | None
    epochs: float
    seconds: float


@dataclass(frozen=True)
class Point:
    """A point of the grid over its folds. mean and sd (of a sample) are None where a training diverged."""

    values: Values
    fold_scores: list[float | None]
    mean: float | None
    sd: float | None
    epochs: float


def grid_points(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of values: keys in alphabetical order, whatever the file's is, the last one varying fastest."""
    names = sorted(grid)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(grid[name] for name in names))]


def with_values(config: ExperimentConfig, values: Values) -> ExperimentConfig:
    """The config of a run that was given the values instead of a grid."""
    assert config.training is not None
    args = {**config.training.trainer_args, **values}
    training = config.training.model_copy(update={"trainer_args": args, "select": None})
    return config.model_copy(update={"training": training})


def summarise(values: Values, results: Sequence[FoldResult]) -> Point:
    scores = [result.score for result in results]
    finite = [score for score in scores if score is not None]
    whole = len(finite) == len(scores)
    return Point(
        values=values,
        fold_scores=scores,
        mean=statistics.fmean(finite) if whole else None,
        sd=statistics.stdev(finite) if whole and len(finite) > 1 else None,
        epochs=statistics.fmean(result.epochs for result in results),
    )


def best_point(points: Sequence[Point], *, higher_is_better: bool) -> Point | None:
    """The point with the best mean; of equal ones that with the fewest epochs, then the first. None if all diverged."""

    def rank(point: Point) -> tuple[float, float]:
        mean = math.inf if point.mean is None else point.mean * (-1 if higher_is_better else 1)
        # Rounded, because the same scores in another order may have another mean in the last digit.
        return round(mean, 12) if math.isfinite(mean) else mean, point.epochs

    best = min(points, key=rank)
    return None if best.mean is None else best

"""What a learning curve consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Question = Literal["above the best baseline", "below its largest"]


def title_of(method: str, calibration: str | None) -> str:
    return method if calibration is None else f"{method}, {calibration}"


@dataclass(frozen=True)
class CurvePoint:
    """A result over seeds at one number of labels.

    shots: labelled rows per label (in total for generation). labels: the label budget, all labels that a run used, mean
    over seeds. sd: sample standard deviation over seeds, None for one run. low, high: 95 % interval of the mean, None
    where there is none. failed: runs without a result.
    """

    shots: int
    labels: float
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    runs: int
    failed: int = 0


@dataclass(frozen=True)
class Series:
    """A curve: one method with one calibration, or a baseline. points: by number of labels, ascending."""

    method: str
    calibration: str | None
    baseline: bool
    points: Sequence[CurvePoint]

    @property
    def title(self) -> str:
        return title_of(self.method, self.calibration)


@dataclass(frozen=True)
class CurveTest:
    """A paired test. `above the best baseline`: of a point against the best baseline on as many labels; `below its
    largest`: of a point against that of its curve with the most labels.

    difference: of the first less the second, with its 95 % interval, from the crossed bootstrap. p: two-sided; p_holm:
    corrected for all tests of the same question. significant: whether it is below 0.05 and in the question's direction.
    """

    question: Question
    series: str
    shots: int
    labels: float
    against: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    significant: bool


@dataclass(frozen=True)
class LearningCurve:
    """per_label: whether shots are counted per label. answers: sentences, in the order of the curves. resamples: of the
    bootstrap; 0 where there was none.
    """

    metric: str
    model: str
    dataset: str
    per_label: bool
    series: Sequence[Series]
    tests: Sequence[CurveTest]
    answers: Sequence[str]
    notes: Sequence[str]
    resamples: int

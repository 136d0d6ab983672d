"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599)."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sft.calibration.base import Adjusted, Needs, Scores, Support, calibration_registry
from sft.label_scores import log_softmax


@calibration_registry.register("temperature")
class TemperatureScaling:
    """Divide all scores by one temperature: confidences change, predictions don't.

    The temperature gives the labels of the shots (scored out of fold) the least negative log-likelihood. It lies in
    [lowest, highest]: where a model is right on every shot, the likelihood only grows towards temperature 0, at which
    every prediction would be certain. A temperature at a bound is warned about.
    """

    transductive = False
    needs = Needs(shots=True)

    def __init__(
        self, *, lowest: Annotated[float, Field(gt=0)] = 0.05, highest: Annotated[float, Field(gt=0)] = 20.0
    ) -> None:
        if lowest >= highest:
            raise ValueError(f"lowest is {lowest}, which must be below highest, {highest}")
        self._lowest, self._highest = float(lowest), float(highest)

    def adjust(self, scores: Scores, support: Support) -> Adjusted:
        temperature = fit_temperature(support.shots, support.shot_labels, self._lowest, self._highest)
        at_a_bound = temperature in (self._lowest, self._highest)
        warning = f"temperature: the shots are best fitted by the temperature {temperature:g}, which is a bound"
        return Adjusted(
            log_softmax(scores) / temperature, {"temperature": temperature}, (warning,) if at_a_bound else ()
        )


def fit_temperature(shots: Scores, labels: NDArray[np.int64], lowest: float, highest: float) -> float:
    """The temperature in [lowest, highest] with the least negative log-likelihood. shots: [K, L]. labels: [K].

    The negative log-likelihood is convex in 1/T, so it has one valley in log T.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def nll(log_temperature: float) -> float:
        return -float(log_softmax(shots / math.exp(log_temperature))[rows, labels].mean())

    inside = minimize_scalar(
        nll, bounds=(math.log(lowest), math.log(highest)), method="bounded", options={"xatol": 1e-9}
    )
    # The search never tries its bounds themselves; 1 is kept where the shots favour nothing.
    candidates = [*([1.0] if lowest <= 1 <= highest else []), math.exp(inside.x), lowest, highest]
    return min(candidates, key=lambda temperature: nll(math.log(temperature)))

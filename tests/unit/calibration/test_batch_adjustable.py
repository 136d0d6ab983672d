"""Adjustable batch calibration: the strength that serves the shots best, between none and more than all."""

from __future__ import annotations

import numpy as np
import pytest

from sft.calibration.batch import BatchCalibration
from sft.calibration.batch_adjustable import STRENGTHS, AdjustableBatchCalibration, best_strength
from sft.label_scores import log_softmax, probabilities
from tests.unit.calibration.supports import support

# Mean log-odds of the test rows: 1.
TEST = np.array([[0.5, 0.0], [1.5, 0.0], [1.0, 0.0]])


def adjusted(shots: list[list[float]], labels: list[int]) -> tuple[np.ndarray, float]:
    given = support(shots=np.array(shots), shot_labels=np.array(labels))
    result = AdjustableBatchCalibration().adjust(TEST, given)
    return probabilities(result.scores), result.fitted["gamma"]


def test_the_strengths_go_from_minus_5_to_5_and_hold_none_and_all() -> None:
    assert {-5.0, 0.0, 1.0, 5.0} <= set(STRENGTHS.tolist())
    assert np.abs(STRENGTHS).max() == 5


# (log-odds of shots, their labels, the best strength): a shot is given to label 0 where its log-odds exceed gamma.
EXAMPLES = [
    ([3.05, 2.95], [0, 1], 3.0),
    ([0.05, -0.05], [0, 1], 0.0),
    ([1.5, 0.5], [0, 1], 1.0),  # every strength between is right: the nearest to 1 is batch calibration itself
    ([2.65, 1.55], [0, 1], 1.6),  # 1.6 to 2.6 are right
    ([0.45, -2.0], [0, 1], 0.4),  # -2 to 0.4 are right
    ([-4.95, -5.05], [0, 1], -5.0),
    ([1.0, 1.0], [0, 1], 1.0),  # one of two is right whatever the strength
    ([4.0, 4.1, 4.2], [0, 1, 0], 1.0),  # two of three are right below 4 and between 4.1 and 4.2; the nearest to 1
]


@pytest.mark.parametrize(("log_odds", "labels", "gamma"), EXAMPLES, ids=str)
def test_the_strength_with_the_best_accuracy_on_the_shots_is_taken(
    log_odds: list[float], labels: list[int], gamma: float
) -> None:
    assert adjusted([[value, 0.0] for value in log_odds], labels)[1] == gamma


def test_the_mean_of_the_test_rows_is_subtracted_that_many_times() -> None:
    calibrated, gamma = adjusted([[3.05, 0.0], [2.95, 0.0]], [0, 1])
    assert gamma == 3.0
    log_odds = np.log(calibrated[:, 0] / calibrated[:, 1])
    np.testing.assert_allclose(log_odds, [0.5 - 3, 1.5 - 3, 1.0 - 3], atol=1e-12)


def test_strength_1_is_batch_calibration_and_strength_0_none() -> None:
    calibrated, gamma = adjusted([[1.5, 0.0], [0.5, 0.0]], [0, 1])
    assert gamma == 1.0
    np.testing.assert_allclose(calibrated, probabilities(BatchCalibration().adjust(TEST, support()).scores), atol=1e-12)
    calibrated, gamma = adjusted([[0.05, 0.0], [-0.05, 0.0]], [0, 1])
    assert gamma == 0.0
    np.testing.assert_allclose(calibrated, probabilities(TEST), atol=1e-12)


def test_the_best_of_all_strengths_is_found_by_trying_them() -> None:
    """Brute force over made-up shots of four labels."""
    generator = np.random.default_rng(3)
    shots, labels = log_softmax(generator.normal(size=(40, 4))), generator.integers(4, size=40)
    bias = log_softmax(generator.normal(size=(1, 4)))[0]
    accuracies = {g: (np.argmax(shots - g * bias, axis=1) == labels).mean() for g in STRENGTHS.tolist()}
    best = [g for g, accuracy in accuracies.items() if accuracy == max(accuracies.values())]
    chosen = best_strength(shots, labels, bias)
    assert chosen in best
    assert abs(chosen - 1) == pytest.approx(min(abs(g - 1) for g in best))

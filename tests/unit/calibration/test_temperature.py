"""Temperature scaling: Guo et al.'s one scalar, by negative log-likelihood."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sft.calibration.temperature import TemperatureScaling, fit_temperature
from sft.label_scores import probabilities
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config
from tests.unit.calibration.supports import support


def fitted(shots: np.ndarray, labels: np.ndarray) -> float:
    return fit_temperature(shots, labels, 0.05, 20.0)


def test_with_two_labels_and_equal_margins_the_temperature_has_a_closed_form() -> None:
    """k of n rows right, all with the margin m: the likelihood is best where the confidence is k / n, at
    T = m / ln(k / (n - k)).
    """
    shots = np.array([[3.0, 0.0]] * 10)
    labels = np.array([0] * 8 + [1] * 2)
    assert fitted(shots, labels) == pytest.approx(3.0 / math.log(8 / 2), abs=1e-6)
    scaled = TemperatureScaling().adjust(shots, support(shots=shots, shot_labels=labels))
    np.testing.assert_allclose(probabilities(scaled.scores)[:, 0], 0.8, atol=1e-6)
    assert scaled.fitted == {"temperature": fitted(shots, labels)}


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    """Labels drawn from softmax(z / T)."""
    generator = np.random.default_rng(0)
    shots = generator.normal(scale=4, size=(20_000, 3))
    cumulative = probabilities(shots / temperature).cumsum(axis=1)
    labels = (generator.random((len(shots), 1)) > cumulative).sum(axis=1)
    assert fitted(shots, labels) == pytest.approx(temperature, rel=0.05)


def test_no_temperature_has_a_smaller_negative_log_likelihood() -> None:
    """Brute force."""
    generator = np.random.default_rng(1)
    shots, labels = generator.normal(scale=3, size=(30, 4)), generator.integers(4, size=30)

    def nll(temperature: float) -> float:
        return -float(np.log(probabilities(shots / temperature)[np.arange(30), labels]).mean())

    grid = np.geomspace(0.05, 20, 2000)
    assert nll(fitted(shots, labels)) <= min(map(nll, grid)) + 1e-12


def test_predictions_stay_as_they_are() -> None:
    generator = np.random.default_rng(2)
    scores, shots = generator.normal(size=(50, 3)), generator.normal(size=(12, 3))
    given = support(shots=shots, shot_labels=generator.integers(3, size=12))
    adjusted = TemperatureScaling().adjust(scores, given).scores
    np.testing.assert_array_equal(adjusted.argmax(axis=1), scores.argmax(axis=1))
    assert np.abs(probabilities(adjusted) - probabilities(scores)).max() > 0.01


# (log-odds of shots of label 0, the bound): all right, or all wrong.
BOUNDS = [(2.0, 0.05), (-2.0, 20.0)]


@pytest.mark.parametrize(("log_odds", "bound"), BOUNDS)
def test_shots_that_are_all_right_give_no_certainty_but_a_bound_with_a_warning(log_odds: float, bound: float) -> None:
    given = support(shots=np.array([[log_odds, 0.0]] * 4), shot_labels=np.zeros(4, dtype=np.int64))
    adjusted = TemperatureScaling().adjust(np.array([[1.0, 0.0]]), given)
    assert adjusted.fitted == {"temperature": bound}
    assert [warning for warning in adjusted.warnings if "which is a bound" in warning]


def test_shots_that_favour_no_temperature_leave_the_scores_alone() -> None:
    assert fitted(np.zeros((5, 3)), np.array([0, 1, 2, 0, 1])) == 1.0


@pytest.mark.parametrize(
    ("args", "key"),
    [
        ({"lowest": 0}, ".lowest"),
        ({"highest": -1.0}, ".highest"),
        ({"lowest": "1"}, ".lowest"),
        ({"lowest": 2, "highest": 1}, ""),
        ({"lowest": 30}, ""),
    ],
    ids=str,
)
def test_bounds_that_make_no_sense_are_refused(args: dict[str, object], key: str) -> None:
    calibration = {"method": "temperature", "args": args}
    (problem,) = check_registered_names(make_config(inference={"calibration": calibration}))
    assert problem.key == f"inference.calibration.args{key}"

"""Domain-context calibration against Fei et al.'s formula, p(y|x) / mean of p(y|random words)."""

from __future__ import annotations

import numpy as np

from sft.calibration.domain import DomainContextCalibration
from sft.label_scores import probabilities
from tests.unit.calibration.supports import support

TEST = np.array([[0.6, 0.3, 0.1], [0.1, 0.5, 0.4]])
# Label probabilities after three inputs of random words; before normalisation the second weighs almost nothing.
WORDS = np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.9, 0.06, 0.04]])
WEIGHTS = np.array([[1.0], [1e-6], [0.3]])


def calibrated(test: np.ndarray, words: np.ndarray) -> np.ndarray:
    adjusted = DomainContextCalibration(samples=3).adjust(np.log(test), support(random_words=np.log(words)))
    return probabilities(adjusted.scores)


def test_probabilities_are_divided_by_the_mean_probabilities_of_random_words() -> None:
    """By hand: the mean of the three is (0.7, 0.12, 0.18)."""
    expected = TEST / np.array([0.7, 0.12, 0.18])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(calibrated(TEST, WORDS), expected, atol=1e-12)
    assert TEST[0].argmax() != expected[0].argmax(), "the example changes no prediction"


def test_every_input_of_random_words_has_one_vote_however_unlikely_all_labels_are_after_it() -> None:
    np.testing.assert_allclose(calibrated(TEST, WORDS * WEIGHTS), calibrated(TEST, WORDS), atol=1e-12)


def test_the_mean_distribution_of_random_words_becomes_uniform() -> None:
    mean = WORDS.mean(axis=0, keepdims=True)
    np.testing.assert_allclose(calibrated(mean, WORDS * WEIGHTS), [[1 / 3] * 3], atol=1e-12)


def test_twenty_inputs_are_drawn_unless_the_config_says_otherwise() -> None:
    assert DomainContextCalibration().needs.random_words == 20
    assert DomainContextCalibration(samples=3).needs.random_words == 3
    assert not DomainContextCalibration().transductive

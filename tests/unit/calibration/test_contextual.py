"""Contextual calibration against Zhao et al.'s formula, p(y|x) / p_cf(y), in probability space."""

from __future__ import annotations

import numpy as np
import pytest

from sft.calibration.contextual import ContextualCalibration
from sft.inference.scores import probabilities
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config

# Unnormalised label probabilities exp S: the third content-free input weighs little, as in the paper's average.
CONTENT_FREE = np.array([[0.2, 0.1, 0.02], [0.3, 0.05, 0.05], [0.001, 0.002, 0.004]])
TEST = np.array([[0.10, 0.08, 0.02], [0.01, 0.09, 0.05]])


def test_probabilities_are_divided_by_the_normalised_mean_of_the_content_free_ones() -> None:
    prior = CONTENT_FREE.mean(axis=0)
    prior /= prior.sum()
    expected = TEST / TEST.sum(axis=1, keepdims=True) / prior
    expected /= expected.sum(axis=1, keepdims=True)
    adjusted = ContextualCalibration().adjust(np.log(TEST), np.log(CONTENT_FREE))
    np.testing.assert_allclose(probabilities(adjusted), expected, atol=1e-12)
    assert TEST[0].argmax() != expected[0].argmax(), "the example changes no prediction"


def test_the_mean_is_over_unnormalised_probabilities() -> None:
    """Averaging normalised distributions instead would give the light third input a full vote."""
    each = CONTENT_FREE / CONTENT_FREE.sum(axis=1, keepdims=True)
    wrong = TEST / each.mean(axis=0)
    wrong /= wrong.sum(axis=1, keepdims=True)
    adjusted = probabilities(ContextualCalibration().adjust(np.log(TEST), np.log(CONTENT_FREE)))
    assert np.abs(adjusted - wrong).max() > 0.05


def test_the_averaged_content_free_distribution_becomes_uniform() -> None:
    average = np.log(CONTENT_FREE.mean(axis=0, keepdims=True))
    adjusted = ContextualCalibration().adjust(average, np.log(CONTENT_FREE))
    np.testing.assert_allclose(probabilities(adjusted), [[1 / 3] * 3], atol=1e-12)


def test_the_content_free_inputs_are_the_papers_unless_the_config_says_otherwise() -> None:
    assert ContextualCalibration().content_free_inputs() == ["N/A", "", "[MASK]"]
    assert ContextualCalibration(content_free_inputs=["nothing"]).content_free_inputs() == ["nothing"]


@pytest.mark.parametrize("inputs", [[], "N/A", [1, 2], None])
def test_content_free_inputs_that_are_no_list_of_texts_are_refused(inputs: object) -> None:
    calibration = {"method": "contextual", "args": {"content_free_inputs": inputs}}
    (problem,) = check_registered_names(make_config(inference={"calibration": calibration}))
    assert problem.key == "inference.calibration.args"
    assert "content_free_inputs" in problem.message

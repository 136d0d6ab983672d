"""Contextual calibration against Zhao et al.'s formula, p(y|x) / p_cf(y), in probability space."""

from __future__ import annotations

import numpy as np
import pytest

from sft.calibration.contextual import ContextualCalibration
from sft.label_scores import probabilities
from sft.pipeline.checks import check_registered_names
from tests.fakes import make_config
from tests.unit.calibration.supports import support

# Unnormalised label probabilities exp S: the third content-free input weighs little, as in the paper's average.
CONTENT_FREE = np.array([[0.2, 0.1, 0.02], [0.3, 0.05, 0.05], [0.001, 0.002, 0.004]])
TEST = np.array([[0.10, 0.08, 0.02], [0.01, 0.09, 0.05]])


def calibrated(test: np.ndarray, content_free: np.ndarray, prior: str = "shared") -> np.ndarray:
    """Probabilities from unnormalised probabilities."""
    calibration = ContextualCalibration(prior="per_prompt" if prior == "per_prompt" else "shared")
    return probabilities(calibration.adjust(np.log(test), support(content_free=np.log(content_free))).scores)


def by_formula(row: np.ndarray, content_free: np.ndarray) -> np.ndarray:
    prior = content_free.mean(axis=0)
    expected = row / row.sum() / (prior / prior.sum())
    return np.asarray(expected / expected.sum())


def test_probabilities_are_divided_by_the_normalised_mean_of_the_content_free_ones() -> None:
    expected = [by_formula(row, CONTENT_FREE) for row in TEST]
    np.testing.assert_allclose(calibrated(TEST, CONTENT_FREE), expected, atol=1e-12)
    assert TEST[0].argmax() != expected[0].argmax(), "the example changes no prediction"


def test_a_prior_per_prompt_divides_every_row_by_its_own() -> None:
    per_row = np.stack([CONTENT_FREE, CONTENT_FREE[:, ::-1]])
    expected = [by_formula(row, own) for row, own in zip(TEST, per_row, strict=True)]
    np.testing.assert_allclose(calibrated(TEST, per_row, "per_prompt"), expected, atol=1e-12)
    assert np.abs(calibrated(TEST, CONTENT_FREE) - expected).max() > 0.1


def test_the_mean_is_over_unnormalised_probabilities() -> None:
    """Averaging normalised distributions instead would give the light third input a full vote."""
    each = CONTENT_FREE / CONTENT_FREE.sum(axis=1, keepdims=True)
    wrong = TEST / each.mean(axis=0)
    wrong /= wrong.sum(axis=1, keepdims=True)
    assert np.abs(calibrated(TEST, CONTENT_FREE) - wrong).max() > 0.05


def test_the_averaged_content_free_distribution_becomes_uniform() -> None:
    average = CONTENT_FREE.mean(axis=0, keepdims=True)
    np.testing.assert_allclose(calibrated(average, CONTENT_FREE), [[1 / 3] * 3], atol=1e-12)


def test_the_content_free_inputs_are_the_papers_unless_the_config_says_otherwise() -> None:
    assert ContextualCalibration().needs.content_free == ("N/A", "", "[MASK]")
    assert ContextualCalibration(content_free_inputs=["nothing"]).needs.content_free == ("nothing",)


@pytest.mark.parametrize("inputs", [[], "N/A", [1, 2], None, ["x", None]])
def test_content_free_inputs_that_are_no_list_of_texts_are_refused(inputs: object) -> None:
    calibration = {"method": "contextual", "args": {"content_free_inputs": inputs}}
    problems = check_registered_names(make_config(inference={"calibration": calibration}))
    key = "inference.calibration.args.content_free_inputs"
    assert {problem.key.partition("[")[0] for problem in problems} == {key}

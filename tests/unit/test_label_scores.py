"""Probabilities over the label set, against numbers computed by hand and by torch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sft.label_scores import log_softmax, probabilities

rows = st.lists(st.lists(st.floats(-700, 0), min_size=3, max_size=3), min_size=1, max_size=4)


def test_a_hand_example() -> None:
    scores = np.log([[0.1, 0.3], [0.02, 0.02]])
    np.testing.assert_allclose(probabilities(scores), [[0.25, 0.75], [0.5, 0.5]])


@given(rows)
def test_rows_equal_torchs_softmax(values: list[list[float]]) -> None:
    expected = torch.tensor(values, dtype=torch.float64)
    np.testing.assert_allclose(probabilities(np.array(values)), expected.softmax(dim=1), atol=1e-12)
    np.testing.assert_allclose(log_softmax(np.array(values)), expected.log_softmax(dim=1), atol=1e-9)


@pytest.mark.parametrize("level", [-5000.0, 5000.0])
def test_the_level_of_a_row_does_not_matter(level: float) -> None:
    scores = np.array([[-1.0, -2.0, -4.0]])
    np.testing.assert_allclose(probabilities(scores + level), probabilities(scores), atol=1e-12)

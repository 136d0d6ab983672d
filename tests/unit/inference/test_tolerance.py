"""Many roundings agree, one wrong number or a shift of all does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sft.inference.tolerance import agree, tolerance

SCORES = np.random.default_rng(0).uniform(-12, -1, size=50_000)


def test_the_tolerance_is_a_part_of_the_score_and_never_less_than_that_of_ten_nats() -> None:
    scores = np.array([-0.5, -10.0, -300.0])
    np.testing.assert_allclose(tolerance(scores, torch.float32), [1e-4, 1e-4, 3e-3])
    np.testing.assert_allclose(tolerance(scores, torch.bfloat16), [0.1, 0.1, 3.0])


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 4e-5), (torch.bfloat16, 0.04)])
def test_tens_of_thousands_of_roundings_agree_though_some_exceed_the_tolerance(
    dtype: torch.dtype, rounding: float
) -> None:
    noise = np.random.default_rng(1).normal(0, rounding, size=SCORES.shape)
    assert (np.abs(noise) > tolerance(SCORES, dtype)).any()
    assert agree(SCORES, SCORES + noise, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_shift_of_all_or_one_wrong_number_is_no_agreement(dtype: torch.dtype) -> None:
    allowed = tolerance(SCORES, dtype)
    assert not agree(SCORES, SCORES + 1.1 * allowed, dtype)
    wrong = SCORES.copy()
    wrong[7] += 11 * allowed[7]
    assert not agree(SCORES, wrong, dtype)
    wrong[7] = np.nan
    assert not agree(SCORES, wrong, dtype)

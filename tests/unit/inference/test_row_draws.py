"""Draws that belong to rows: they follow the model's distribution, and repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sft.inference.generation.sampling import draw, draws_on, uniforms


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    """Evenly spaced draws give each token its share, to within one draw."""
    logits = torch.tensor([0.3, -1.0, 2.0, -torch.inf, 0.0])
    n = 10_000
    at = (torch.arange(n) + 0.5) / n
    counts = np.bincount(draw(logits.expand(n, -1), at).numpy(), minlength=5)
    np.testing.assert_allclose(counts, n * logits.softmax(0).numpy(), atol=1.01)
    assert counts[3] == 0


@pytest.mark.parametrize("at", [0.0, 0.5, 1 - 2**-53])
def test_an_impossible_token_is_never_drawn(at: float) -> None:
    for possible in (0, 3, 6):
        scores = torch.full((1, 7), -torch.inf)
        scores[0, possible] = -5.0
        assert draw(scores, draws_on(torch.device("cpu"), [at])).item() == possible


def test_draws_differ_between_seeds_and_rows_and_repeat() -> None:
    streams = [uniforms(seed, row, 50) for seed in (0, 1) for row in (0, 1, 2)]
    assert len({values.tobytes() for values in streams}) == len(streams)
    np.testing.assert_array_equal(uniforms(1, 2, 50), streams[-1])
    np.testing.assert_array_equal(uniforms(1, 2, 20), streams[-1][:20], "a longer limit begins alike")
    assert all(0 <= value < 1 for values in streams for value in values)
    assert abs(np.mean([uniforms(7, row, 100).mean() for row in range(100)]) - 0.5) < 0.02

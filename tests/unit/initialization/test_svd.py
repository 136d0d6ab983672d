"""Singular triplets of large matrices against numpy's full decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sft.initialization.svd import EXACT_UP_TO, bottom_triplets, top_triplets

RANK = 8
SHAPES = [(40, 30), (30, 40), (EXACT_UP_TO + 88, EXACT_UP_TO + 88), (EXACT_UP_TO + 40, 900), (900, EXACT_UP_TO + 40)]


def matrices(shape: tuple[int, int]) -> torch.Tensor:
    """Two without structure: the hardest case, since singular values lie close together."""
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_singular_values_are_within_two_percent(shape: tuple[int, int]) -> None:
    weights = matrices(shape)
    expected = np.linalg.svd(weights.numpy(), compute_uv=False)[:, :RANK]
    tolerance = 1e-5 if min(shape) <= EXACT_UP_TO else 0.02
    np.testing.assert_allclose(top_triplets(weights, RANK).s.numpy(), expected, rtol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_smallest_singular_values_are_within_two_percent_of_the_matrix_spread(shape: tuple[int, int]) -> None:
    weights = matrices(shape)
    every = np.linalg.svd(weights.numpy(), compute_uv=False)
    found = bottom_triplets(weights, RANK).s.numpy()
    assert np.abs(found - every[:, -RANK:]).max() < 0.02 * every.max()
    assert (found <= every[:, -3 * RANK, None]).all(), "directions beyond the smallest"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("triplets", [top_triplets, bottom_triplets])
def test_vectors_are_orthonormal_and_belong_to_the_values(triplets: type, shape: tuple[int, int]) -> None:
    weights = matrices(shape)
    u, s, v = triplets(weights, RANK)
    eye = torch.eye(RANK).expand(2, RANK, RANK)
    torch.testing.assert_close(u.mT @ u, eye, atol=1e-4, rtol=0)
    torch.testing.assert_close(v.mT @ v, eye, atol=1e-4, rtol=0)
    torch.testing.assert_close(u.mT @ weights @ v, torch.diag_embed(s), atol=2e-3, rtol=1e-3)
    assert (v.gather(-2, v.abs().argmax(dim=-2, keepdim=True)) > 0).all()


@pytest.mark.parametrize("triplets", [top_triplets, bottom_triplets])
def test_a_seed_decides_and_the_global_generator_is_left_alone(triplets: type) -> None:
    weights = matrices((EXACT_UP_TO + 8, EXACT_UP_TO + 8))
    before = torch.get_rng_state()
    first, again, other = (triplets(weights, RANK, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.v, again.v)
    assert not torch.equal(first.v, other.v)


def test_a_flat_direction_does_not_stop_the_inverse_iteration() -> None:
    weights = matrices((EXACT_UP_TO + 8, EXACT_UP_TO + 40))
    weights[:, 5] = weights[:, 6]  # singular
    smallest = bottom_triplets(weights, RANK).s[:, -1]
    assert (smallest < 1e-3).all()

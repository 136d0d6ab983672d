"""PCA initialisation against numpy's eigenvectors of the rows' covariance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from sft.errors import SftError
from sft.initialization.initializers.pca import pca


def layer_of(weight: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
    return layer


def weight_of(n_out: int, n_in: int, seed: int = 0) -> np.ndarray:
    """Columns of very different spread, so that the components are well apart, with a mean far from zero."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(n_in, n_in))
    return (generator.normal(size=(n_out, n_in)) * 1.5 ** np.arange(n_in)) @ mixing + 40.0


def expected_components(weight: np.ndarray, rank: int) -> np.ndarray:
    values, vectors = np.linalg.eig(np.cov(weight, rowvar=False))
    order = np.argsort(values.real)[::-1][:rank]
    components = vectors.real[:, order].T
    for component in components:
        component *= np.sign(component[np.abs(component).argmax()])
    return components


@pytest.mark.parametrize(("n_out", "n_in"), [(50, 6), (200, 10)])
def test_a_holds_the_leading_eigenvectors_and_b_is_zero(n_out: int, n_in: int) -> None:
    weight = weight_of(n_out, n_in)
    factors = pca(layer_of(weight), 4, dtype=torch.float32)
    np.testing.assert_allclose(factors["lora_A"].numpy(), expected_components(weight, 4), atol=2e-3)
    assert not factors["lora_B"].any()


def test_the_components_are_orthonormal_and_their_largest_entry_is_positive() -> None:
    a = pca(layer_of(weight_of(30, 8)), 8, dtype=torch.float32)["lora_A"]
    torch.testing.assert_close(a @ a.T, torch.eye(8), atol=1e-5, rtol=0)
    assert (a.gather(1, a.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_a_conv1d_layer_gives_what_the_same_linear_layer_gives() -> None:
    weight = weight_of(9, 5)
    transposed = Conv1D(9, 5)
    with torch.no_grad():
        transposed.weight.copy_(torch.from_numpy(weight.T))
    torch.testing.assert_close(
        pca(transposed, 3, dtype=torch.float32)["lora_A"], pca(layer_of(weight), 3, dtype=torch.float32)["lora_A"]
    )


def test_the_numbers_are_computed_in_float32_whatever_the_dtype_asked_for() -> None:
    layer = layer_of(weight_of(20, 6))
    exact = pca(layer, 3, dtype=torch.float32)["lora_A"]
    assert torch.equal(pca(layer, 3, dtype=torch.bfloat16)["lora_A"], exact.to(torch.bfloat16))


def test_a_rank_above_the_number_of_inputs_is_refused() -> None:
    with pytest.raises(SftError, match="rank 7 is larger than a layer of 6 inputs"):
        pca(layer_of(weight_of(20, 6)), 7)


def test_as_many_components_as_inputs_are_possible() -> None:
    assert pca(layer_of(weight_of(20, 6)), 6)["lora_A"].shape == (6, 6)

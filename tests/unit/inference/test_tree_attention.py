"""Attention of a packed batch against the definition: each token alone, over the keys that it sees, in float64."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sft.inference.label_tree import label_tree
from sft.inference.packing import PackedBatch, documents_of, pack, pack_chain
from sft.inference.shared_prefixes import prefix_groups
from sft.inference.tree_attention.fused import fused_attention
from sft.inference.tree_attention.kernels import Attended, attend
from sft.inference.tree_attention.layout import Layout
from sft.inference.tree_attention.split import split_attention
from sft.inference.triton_support import runs_triton
from tests.conftest import REPOSITORY
from tests.label_scoring import rows_of
from tests.tiny_models import random_ids
from tests.unit.inference.test_packing import seen_by

HEADS = {"as many key heads": (3, 3, 16), "grouped": (4, 2, 24), "one key head": (7, 1, 16)}
CHOICES = [
    {"window": None, "softcap": None},
    {"window": 9, "softcap": None},
    {"window": 45, "softcap": None},
    {"window": 10_000, "softcap": None},
    {"window": None, "softcap": 2.0},
    {"window": 9, "softcap": 2.0},
]
LABELS = [[7], [7, 8], [40, 41, 42], [40, 41, 42, 43, 44, 45], [200, 7, 7, 7]]
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def batch_of(prefix_length: int, labels: list[list[int]] = LABELS) -> PackedBatch:
    """Eight rows with ragged tails, and three that share more than the others do."""
    prefix, stem = random_ids([prefix_length, 20], seed=5)
    prompts = [prefix + tail for tail in random_ids([1, 2, 5, 9, 14, 23, 30, 70])]
    prompts += [prefix + stem + tail for tail in random_ids([3, 4, 1], seed=8)]
    tree = label_tree(labels, 3)
    rows = rows_of(prompts, tree)
    (group,) = prefix_groups(rows, 100_000)
    assert group.prefix_length == prefix_length
    return pack(list(documents_of(group, 1000)))


BATCHES = {
    "without a prefix": batch_of(0),
    "with a prefix": batch_of(40),
    "labels of one token": batch_of(40, [[7], [8]]),
    "one plain sequence": pack_chain(np.arange(50), start=0),
    "one plain sequence after a prefix": pack_chain(np.arange(30), start=40),
}


def tensors_for(
    batch: PackedBatch, heads: tuple[int, int, int], device: str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[list[Tensor], tuple[Tensor, Tensor] | None]:
    """Query, key, value [1, H, T, d] with the strides that models make; and the prefix's keys and values."""
    n_query, n_key, d = heads
    generator = torch.Generator().manual_seed(1)

    def draw(n_heads: int, length: int) -> Tensor:
        return torch.randn(1, length, n_heads, d, generator=generator).to(device, dtype).transpose(1, 2)

    length, prefix = len(batch.tokens), batch.prefix_length
    new = [draw(n_query, length), draw(n_key, length), draw(n_key, length)]
    return new, (draw(n_key, prefix), draw(n_key, prefix)) if prefix else None


def by_definition(
    batch: PackedBatch, new: list[Tensor], prefix: Any, scale: float, window: int | None, softcap: float | None
) -> Attended:
    query, key, value = (x.double().cpu() for x in new)
    before = [x.double().cpu() for x in prefix] if prefix else [x[:, :, :0] for x in (key, value)]
    groups = query.shape[1] // key.shape[1]
    outputs, sums = [], []
    for token in range(len(batch.tokens)):
        seen = seen_by(batch, token)
        positions = np.concatenate([np.arange(batch.prefix_length), batch.positions[seen]])
        near = np.ones_like(positions, bool) if window is None else batch.positions[token] - positions < window
        keys, values = (
            torch.cat([old, fresh[:, :, seen]], dim=2)[0][:, torch.from_numpy(near)].repeat_interleave(groups, dim=0)
            for old, fresh in zip(before, (key, value), strict=True)
        )
        scores = (keys @ query[0, :, token, :, None])[..., 0] * scale
        scores = scores if softcap is None else softcap * torch.tanh(scores / softcap)
        outputs.append((scores.softmax(dim=-1)[:, None] @ values)[:, 0])
        sums.append(scores.logsumexp(dim=-1))
    return Attended(torch.stack(outputs), torch.stack(sums))


def assert_equal(have: Attended, want: Attended, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(have.output.double().cpu(), want.output, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(have.log_sum_exp.double().cpu(), want.log_sum_exp, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("device", DEVICES)
def test_every_token_attends_to_what_it_sees(device: str, name: str, heads: str, choice: dict[str, Any]) -> None:
    batch = BATCHES[name]
    new, prefix = tensors_for(batch, HEADS[heads], device)
    want = by_definition(batch, new, prefix, 0.3, **choice)
    layout = Layout(batch, torch.device(device))
    assert_equal(split_attention(*new, prefix, layout, scale=0.3, **choice), want)
    if runs_triton(new[0]):
        assert_equal(fused_attention(*new, prefix, layout, scale=0.3, **choice), want)


def test_the_windows_are_crossed_inside_documents_and_inside_the_prefix_and_not_at_all() -> None:
    batch = BATCHES["with a prefix"]
    spans = batch.positions.max() - batch.prefix_length
    assert 9 < spans < 10_000
    assert batch.positions.min() < 45
    assert batch.positions.max() > 45
    layout = Layout(batch, torch.device("cpu"))
    assert layout.prefix_view(10_000).mask is None
    assert layout.prefix_view(9).blind is not None, "no token is out of reach of the whole prefix"


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("device", DEVICES)
def test_half_precision_kernels_differ_by_rounding_only(device: str, name: str, choice: dict[str, Any]) -> None:
    batch = BATCHES[name]
    new, prefix = tensors_for(batch, (8, 2, 64), device, torch.bfloat16)
    want = by_definition(batch, new, prefix, 0.125, **choice)
    layout = Layout(batch, torch.device(device))
    assert_equal(split_attention(*new, prefix, layout, scale=0.125, **choice), want, tolerance=2e-2)
    if runs_triton(new[0]):
        assert_equal(fused_attention(*new, prefix, layout, scale=0.125, **choice), want, tolerance=2e-2)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("kind", ["mask", "mask of one row", "causal", "all"])
@pytest.mark.parametrize("device", DEVICES)
def test_kernels_return_the_output_and_its_log_sum_exp(device: str, kind: str, softcap: float | None) -> None:
    generator = torch.Generator().manual_seed(2)
    query = torch.randn(3, 4, 21, 16, generator=generator)
    key, value = (torch.randn(3, 2, 21 if kind == "causal" else 30, 16, generator=generator) for _ in range(2))
    mask = torch.rand(1 if kind == "mask of one row" else 3, 1, 21, key.shape[2], generator=generator) > 0.5
    mask[..., 0] = True
    seen = mask if "mask" in kind else torch.ones(21, key.shape[2], dtype=torch.bool)
    seen = seen.tril() if kind == "causal" else seen
    scores = query.double() @ key.double().repeat_interleave(2, dim=1).transpose(-1, -2) * 0.3
    scores = scores if softcap is None else softcap * torch.tanh(scores / softcap)
    scores = scores.masked_fill(~seen, float("-inf"))
    have = attend(
        *(x.to(device) for x in (query, key, value)),
        scale=0.3,
        mask=mask.to(device) if "mask" in kind else None,
        causal=kind == "causal",
        softcap=softcap,
    )
    want = scores.softmax(dim=-1) @ value.double().repeat_interleave(2, dim=1)
    assert_equal(have, Attended(want, scores.logsumexp(dim=-1)))


def test_values_of_another_width_than_keys_are_attended_to_as_well() -> None:
    """As multi-head latent attention has them."""
    batch = BATCHES["with a prefix"]
    (query, key, _), (prefix_key, _) = tensors_for(batch, (4, 4, 16))  # type: ignore[misc]
    new = [query, key, torch.randn(1, 4, len(batch.tokens), 8)]
    prefix = (prefix_key, torch.randn(1, 4, batch.prefix_length, 8))
    layout = Layout(batch, torch.device("cpu"))
    have = split_attention(*new, prefix, layout, scale=0.3, window=None, softcap=None)
    assert_equal(have, by_definition(batch, new, prefix, 0.3, None, None))


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_the_triton_kernels_agree_in_tritons_interpreter() -> None:
    """In a process of its own, because Triton decides at import whether it interprets; there, on the CPU."""
    paths = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": paths}
    result = subprocess.run(
        [sys.executable, "-m", "tests.interpreted_kernels"],
        env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.strip().endswith("74 agree")

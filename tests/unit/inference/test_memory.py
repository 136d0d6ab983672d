"""How many tokens a pass reads: what fits into half of the free memory, within bounds."""

from __future__ import annotations

import logging

import psutil
import pytest
import torch

from sft.inference import memory, triton_support
from tests.tiny_models import tiny_loaded


@pytest.mark.parametrize(("free", "expected"), [(10**15, 1024), (0, 256), (2 * 1000, None)])
def test_tokens_depend_on_the_free_memory(free: int, expected: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_loaded()
    per_token = memory.activation_bytes_per_token(loaded)
    monkeypatch.setattr(memory, "free_bytes", lambda device: free if expected is not None else 2 * 1000 * per_token)
    assert memory.tokens_per_pass(loaded) == (expected or 1000)


def test_activations_are_those_of_the_models_size_and_type() -> None:
    loaded = tiny_loaded()
    config = loaded.model.config
    elements = 16 * config.hidden_size + 4 * config.intermediate_size
    assert memory.activation_bytes_per_token(loaded) == 4 * elements
    loaded.model.to(torch.bfloat16)
    assert memory.activation_bytes_per_token(loaded) == 2 * elements


def test_a_cpus_free_memory_is_what_the_system_calls_available() -> None:
    have = memory.free_bytes(torch.device("cpu"))
    assert have == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_a_triton_that_cannot_compile_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a machine without a C compiler (or, here, without a GPU)."""
    pytest.importorskip("triton", reason="triton is not installed")
    from sft.inference import logsumexp_kernel

    def fail(logits: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(logsumexp_kernel, "row_logsumexp", fail)
    monkeypatch.setattr(torch, "zeros", lambda *args, **kwargs: None)
    with caplog.at_level(logging.WARNING):
        assert triton_support._works.__wrapped__() is False
    assert "Failed to find C compiler" in caplog.text


def test_on_a_cpu_no_kernel_of_triton_is_asked_for() -> None:
    assert triton_support.runs_triton(torch.zeros(1)) is False

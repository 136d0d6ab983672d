"""A run changes torch's switches and the environment, and the next run doesn't see it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch

from sft.models.process_state import unchanged_process


class Switch(NamedTuple):
    read: Callable[[], Any]
    change: Callable[[], Any]


def set_of(owner: Any, name: str) -> Switch:
    return Switch(lambda: getattr(owner, name), lambda: setattr(owner, name, not getattr(owner, name)))


SWITCHES = {
    "default dtype": Switch(torch.get_default_dtype, lambda: torch.set_default_dtype(torch.bfloat16)),
    "gradients": Switch(torch.is_grad_enabled, lambda: torch.set_grad_enabled(False)),
    "deterministic algorithms": Switch(
        torch.are_deterministic_algorithms_enabled, lambda: torch.use_deterministic_algorithms(True)
    ),
    "deterministic, with warnings": Switch(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    ),
    "precision": Switch(torch.get_float32_matmul_precision, lambda: torch.set_float32_matmul_precision("medium")),
    "threads": Switch(torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "cudnn.benchmark": set_of(torch.backends.cudnn, "benchmark"),
    "cudnn.deterministic": set_of(torch.backends.cudnn, "deterministic"),
    "cudnn.allow_tf32": set_of(torch.backends.cudnn, "allow_tf32"),
    "cuda.matmul.allow_tf32": set_of(torch.backends.cuda.matmul, "allow_tf32"),
    "a new variable": Switch(
        lambda: os.environ.get("SFT_TEST_NEW"), lambda: os.environ.update({"SFT_TEST_NEW": "here"})
    ),
    "a changed variable": Switch(lambda: os.environ["PATH"], lambda: os.environ.update({"PATH": "elsewhere"})),
    "a removed variable": Switch(lambda: os.environ.get("PATH"), lambda: os.environ.pop("PATH")),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
def test_everything_is_put_back_after_a_run_and_after_one_that_fails(switch: Switch, fails: bool) -> None:
    before = switch.read()
    with contextlib.suppress(ZeroDivisionError), unchanged_process():
        switch.change()
        changed = switch.read()
        if fails:
            raise ZeroDivisionError
    after = switch.read()
    assert changed != before
    assert after == before


def test_warn_only_stays_as_it_was() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with unchanged_process():
            torch.use_deterministic_algorithms(False)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)

"""The most memory since a moment, with real allocations."""

from __future__ import annotations

import sys

import pytest
import torch

from sft.peak_memory import PeakMemory

MIB = 2**20
SIZE = 300 * MIB


def allocate_and_free(size: int) -> None:
    torch.ones(size, dtype=torch.uint8)


def process(peak: PeakMemory) -> int:
    (bytes_used,) = (value for key, value in peak.report().items() if key.startswith("process"))
    return int(bytes_used)


def test_what_was_allocated_and_freed_in_between_is_in_the_peak() -> None:
    peak = PeakMemory()
    before = process(peak)
    allocate_and_free(SIZE)
    grown = process(peak)
    assert SIZE * 0.9 < grown - before < SIZE * 1.5
    assert abs(process(peak) - grown) < 20 * MIB, "a second report says the same"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process measure from a moment on")
def test_another_measurement_starts_anew() -> None:
    first = PeakMemory()
    if "process_since_start" in first.report():
        pytest.skip("this system doesn't let a process reset its peak")
    allocate_and_free(SIZE)
    high = process(first)
    second = PeakMemory()
    assert process(second) < high - SIZE * 0.5
    assert set(second.report()) <= {"process", "gpus"}


def test_where_the_system_cannot_reset_the_peak_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft.peak_memory._reset_process_peak", lambda: False)
    report = PeakMemory().report()
    assert report["process_since_start"] > 50 * MIB
    assert "process" not in report

"""Several processes save and stop after the same step, whichever was asked or finds a checkpoint due."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from transformers import TrainerControl

from sft import stopping
from sft.training import saving
from sft.training.saving import saving_callback


def after_a_step(monkeypatch: pytest.MonkeyPatch, *others: tuple[bool, bool]) -> TrainerControl:
    """What the trainer is told where the other processes say (a checkpoint is due, it was asked to stop)."""
    monkeypatch.setattr(stopping, "_asked", False)
    monkeypatch.setattr(saving, "gathered", lambda own: [own, *others])
    control: Any = TrainerControl()
    stops = any(stop for _, stop in others)
    with pytest.raises(KeyboardInterrupt) if stops else contextlib.nullcontext(), stopping.saves_when_asked():
        saving_callback().on_step_end(None, None, control)
        assert stopping.asked_to_stop() is stops
    return control


def test_nobody_asked_and_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    control = after_a_step(monkeypatch, (False, False))
    assert (control.should_save, control.should_training_stop) == (False, False)


def test_a_checkpoint_that_is_due_in_one_process_is_written_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    control = after_a_step(monkeypatch, (True, False))
    assert (control.should_save, control.should_training_stop) == (True, False)


def test_all_save_and_stop_when_one_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    control = after_a_step(monkeypatch, (False, False), (False, True))
    assert (control.should_save, control.should_training_stop) == (True, True)

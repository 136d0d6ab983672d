"""Checkpoints of a run that may be interrupted: every few minutes, and when it is asked to stop."""

from __future__ import annotations

import time
from typing import Any

from sft.distributed import gathered
from sft.stopping import ask_to_stop, asked_to_stop

# Few-shot trainings mostly end before: then none is written.
_SECONDS_BETWEEN = 120.0


def saving_callback() -> Any:
    """Makes the trainer write a checkpoint after the step in which it is due, and stop after one that was asked for."""
    from transformers import TrainerCallback

    class Saving(TrainerCallback):  # type: ignore[misc]  # of no type here
        last = time.monotonic()

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.last = time.monotonic()

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.last = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            is_due = time.monotonic() - self.last > _SECONDS_BETWEEN
            wishes = gathered((is_due, asked_to_stop()))  # all processes save and stop after the same step
            if any(stop for _, stop in wishes):
                if not asked_to_stop():
                    ask_to_stop()
                control.should_training_stop = True
            if any(due or stop for due, stop in wishes):
                control.should_save = True

    return Saving()

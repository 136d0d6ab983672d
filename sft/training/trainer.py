"""TRL's trainer, and what is added to it."""

from __future__ import annotations

from typing import Any

from sft.training.attach import AttachedAdapter


def trainer_class(attached: AttachedAdapter) -> Any:
    """TRL's trainer, with the adapter's penalty in the loss."""
    from trl import SFTTrainer

    class Trainer(SFTTrainer):  # type: ignore[misc]  # of no type here
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            penalty = attached.method.penalty(attached.model)
            if penalty is None:
                return result
            # With a number of items, losses of accumulated batches are added up, and the penalty counts once.
            parts = self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1
            loss, outputs = result if return_outputs else (result, None)
            loss = loss + (penalty / parts).to(loss.device)
            return (loss, outputs) if return_outputs else loss

    return Trainer

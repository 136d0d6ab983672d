"""TRL's trainer, and what is added to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from sft.training.attach import AttachedAdapter
from sft.training.even_epochs import EvenSampler, can_be_filled, filled, fillers
from sft.training.fast.documents import Documents
from sft.training.fast.flat import halves
from sft.training.fast.gradients import KeptGradients
from sft.training.label_loss import LabelLoss

logger = logging.getLogger(__name__)


def trainer_class(attached: AttachedAdapter, *, flat: bool, label_loss: LabelLoss | None = None) -> Any:
    """TRL's trainer, with the adapter's penalty in the loss.

    flat: whether batches are those of `FlatCollator`. label_loss: in the place of TRL's loss; batches are its own then.
    """
    from trl import SFTTrainer

    class Trainer(SFTTrainer):  # type: ignore[misc]  # of no type here
        _positions = 0
        _too_many = float("inf")  # tokens of a batch
        _tokens: Any = 0  # a tensor where they are counted on a device

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if label_loss is not None:
                # The rows of a step are counted, and losses added up, whatever the model's own loss would do.
                self.model_accepts_loss_kwargs = True

        @property
        def padding(self) -> float:
            """The share of padding among the tokens that this process computed."""
            return 1.0 - float(self._tokens) / self._positions if self._positions else 0.0

        def get_train_dataloader(self) -> Any:
            rows = self.train_dataset
            missing = fillers(len(rows), self._train_batch_size, self.accelerator.num_processes)
            if missing == 0 or not can_be_filled(rows):
                return super().get_train_dataloader()
            seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
            order = EvenSampler(self._get_train_sampler(rows), missing, seed)
            return self._get_dataloader(
                dataset=filled(rows, missing),
                description="Training",
                batch_size=self._train_batch_size,
                sampler_fn=lambda _: order,
                is_training=True,
            )

        def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
            """A training that goes on from its last step has none left; transformers would make one more."""
            if self.state.global_step < self.state.max_steps:
                super()._run_epoch(*args, **kwargs)

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            if label_loss is not None:
                assert not return_outputs, "only evaluation during training, which there is none of, wants outputs"
                result = mean_over_rows(self, label_loss.sum(model, inputs), num_items_in_batch)
            else:
                positions, mask = inputs["input_ids"].numel(), inputs.get("attention_mask")
                self._positions += positions
                self._tokens += positions if mask is None else mask.sum()
                if flat:
                    result = self._flat_loss(model, inputs, num_items_in_batch)
                else:
                    result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            penalty = attached.method.penalty(attached.model)
            if penalty is None:
                return result
            # With a number of items, losses of accumulated batches are added up, and the penalty counts once.
            parts = self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1
            loss, outputs = result if return_outputs else (result, None)
            loss = loss + (penalty / parts).to(loss.device)
            return (loss, outputs) if return_outputs else loss

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            """A flat batch that memory has no room for is computed in halves; so are later ones as large."""
            halved = flat and len(inputs["lengths"]) > 1 and num_items_in_batch is not None and self._may_halve()
            if not halved:
                return super().training_step(model, inputs, num_items_in_batch)
            n_tokens = inputs["input_ids"].shape[1]
            if n_tokens < self._too_many:
                gradients, counted = KeptGradients(self.model), self._counted()
                try:
                    return super().training_step(model, inputs, num_items_in_batch)
                except torch.OutOfMemoryError:
                    if not gradients.can_be_restored:
                        raise
                logger.warning("memory ran out: batches of %d tokens and more are computed in parts", n_tokens)
                self._too_many = n_tokens
                gradients.restore()
                self._positions, self._tokens, self._total_train_tokens, self._metrics["train"] = counted
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
            first, second = halves(inputs)
            loss = self.training_step(model, first, num_items_in_batch)
            return loss + self.training_step(model, second, num_items_in_batch)

        def _may_halve(self) -> bool:
            """Not where gradients are averaged after every part, or a penalty would count with each."""
            return self.accelerator.num_processes == 1 and attached.method.penalty(attached.model) is None

        def _counted(self) -> tuple[int, Any, Any, Any]:
            metrics = self._metrics["train"]
            kept = type(metrics)(list, {name: list(values) for name, values in metrics.items()})
            return self._positions, self._tokens, self._total_train_tokens, kept

        def _flat_loss(self, model: Any, inputs: Mapping[str, Any], num_items_in_batch: Any) -> torch.Tensor:
            """As TRL's, which waits for the device four times to keep its metrics."""
            ids, wanted = inputs["input_ids"], inputs["answer_ids"]
            logits = model(
                input_ids=ids,
                position_ids=inputs["position_ids"],
                documents=Documents.of(inputs["lengths"], ids.device),
                logits_to_keep=inputs["answer_at"],
                use_cache=False,
            ).logits[0]
            smoothing = self.args.label_smoothing_factor
            loss = cross_entropy(logits.float(), wanted, reduction="sum", label_smoothing=smoothing)
            loss = loss / (max(1, len(wanted)) if num_items_in_batch is None else num_items_in_batch)
            if self.args.average_tokens_across_devices and num_items_in_batch is not None:
                loss = loss * self.accelerator.num_processes
            self._keep_metrics(logits.detach().float(), wanted, ids.shape[1])
            return loss

        @torch.no_grad()
        def _keep_metrics(self, logits: torch.Tensor, wanted: torch.Tensor, n_tokens: int) -> None:
            """Those that TRL logs; they are read from the device when they are logged."""
            log_probs = logits.log_softmax(dim=-1)
            sums = torch.stack(
                [
                    -(log_probs.exp() * log_probs).sum(),
                    (logits.argmax(dim=-1) == wanted).sum(),
                    wanted.new_tensor(len(wanted)),
                ]
            ).float()
            if self.accelerator.num_processes > 1:
                sums = self.accelerator.reduce(sums)
            self._metrics["train"]["entropy"].append(sums[0] / sums[2])
            self._metrics["train"]["mean_token_accuracy"].append(sums[1] / sums[2])
            self._total_train_tokens += n_tokens * self.accelerator.num_processes
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            for values in self._metrics["train"].values():
                values[:] = [float(value) for value in values]
            super().log(logs, start_time)

    return Trainer


def mean_over_rows(trainer: Any, total: Any, rows: Any) -> Any:
    """What a trainer is to add up over the batches of a step, so that the sum is the mean over the step's rows.

    total: the sum over the rows of one batch. rows: those of the step, in all processes where the trainer averages over
    processes afterwards.
    """
    processes = trainer.accelerator.num_processes if trainer.args.average_tokens_across_devices else 1
    return total * processes / rows

"""The loss of an objective that looks at all labels of a row, for a trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sft.config.schema import MethodConfig
from sft.errors import TrainingError
from sft.inference.label_tree import label_tree
from sft.inference.shared_prefixes import ScoringRow, scoring_row
from sft.models.load import LoadedModel
from sft.prompting.build import LabelPrompt, TrainingSequence
from sft.prompting.labelled import IGNORED
from sft.training.even_epochs import NO_ROW, ROW
from sft.training.label_passes import choose_pass
from sft.training.objectives import LabelTokens, objective_registry

if TYPE_CHECKING:
    from datasets import Dataset


class LabelledRow(NamedTuple):
    """A training row: its prompt with all labels, as inference would score it, and the index of the right one."""

    prompt: LabelPrompt
    right: int


@dataclass(frozen=True)
class LabelTraining:
    """What is trained with an objective that reads labels.

    texts: of the labels. end: the token that inference scores after each label, or None. eot: the token that ends an
    answer.
    """

    objective: MethodConfig
    rows: Sequence[LabelledRow]
    texts: tuple[str, ...]
    end: int | None
    eot: int

    def sequences(self) -> list[TrainingSequence]:
        """The rows with their right answers alone."""
        return [
            TrainingSequence([*prompt.prompt, *prompt.labels[right], self.eot], len(prompt.prompt))
            for prompt, right in self.rows
        ]


class LabelLoss:
    """One loaded model, one objective, and the way in which labels are read.

    The trainer's data set has a column that says which row is which; `collate` keeps nothing else of it.
    """

    def __init__(self, training: LabelTraining, loaded: LoadedModel) -> None:
        self._training = training
        self._objective = objective_registry[training.objective.method](**training.objective.args)
        # After a label whose end is scored, the answer is that label.
        self._reads_answer = self._objective.reads_answer and training.end is None
        self._rows = [self._scoring_row(row) for row in training.rows]
        self._choice = choose_pass(loaded, self._rows)

    def report(self) -> dict[str, Any]:
        """What a record says of it. tokens_read: in one epoch, were every row read alone."""
        label_pass = self._choice.label_pass
        return {
            **self._training.objective.model_dump(mode="json"),
            "labels_read_by": label_pass.name,
            "reason": self._choice.reason,
            "tokens_read": sum(map(label_pass.tokens, self._rows)),
        }

    def computation(self, steps: Mapping[str, Any]) -> dict[str, Any]:
        """What a record says of how steps were computed. steps: what it would say of sequences in padded batches."""
        why_not = {what: why for what, why in steps["why_not"].items() if what != "flat"}
        return {**steps, "batches": self._choice.label_pass.name, "why_not": why_not}

    def in_use(self) -> AbstractContextManager[None]:
        """To be open as long as there may be a forward or backward pass of a training step."""
        return self._choice.label_pass.in_use()

    def with_row_numbers(self, dataset: Dataset) -> Dataset:
        """The data set with the column that `collate` reads."""
        return dataset.add_column(ROW, list(range(len(self._rows))))

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """row: [B]. labels: [B, 2], of which a trainer counts one each, whether it counts first positions or not: what
        it divides the sum of a step's losses by is the number of rows. Rows that fill an epoch have none.
        """
        rows = torch.tensor([example[ROW] for example in examples])
        right = [IGNORED if row == NO_ROW else self._training.rows[row].right for row in rows.tolist()]
        return {ROW: rows, "labels": torch.tensor([[IGNORED, label] for label in right])}

    def check(self, args: Any) -> None:
        """Raise `TrainingError` where one process would run the model on several GPUs at a time."""
        if args.n_gpu > 1:
            raise TrainingError(
                f"training.objective: {self._training.objective.method!r} can't be spread over {args.n_gpu} GPUs by "
                "one process",
                "set CUDA_VISIBLE_DEVICES to one GPU, or start a process for each (torchrun)",
            )

    def sum(self, model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """The sum of the objective over the rows of a collated batch. model: as the trainer has wrapped it.

        A row that fills an epoch is read as the first one, since every process has to read something, and left out.
        """
        rows = [self._rows[max(i, 0)] for i in inputs[ROW].tolist()]
        log_probs = self._choice.label_pass(model, rows)
        right = inputs["labels"][:, 1].to(log_probs.device)
        losses = self._objective.losses(self._label_tokens(log_probs, rows, right.clamp(min=0)))
        return losses[right != IGNORED].sum()

    def _scoring_row(self, row: LabelledRow) -> ScoringRow:
        """The labels as inference scores them and, where it is asked for and none of them, the answer."""
        prompt, end = row.prompt, () if self._training.end is None else (self._training.end,)
        labels = [[*label, *end] for label in prompt.labels]
        if self._reads_answer:
            labels.append([*prompt.labels[row.right], self._training.eot])
        return scoring_row(np.array(prompt.prompt, dtype=np.int64), label_tree(labels))

    def _label_tokens(self, log_probs: Tensor, rows: Sequence[ScoringRow], right: Tensor) -> LabelTokens:
        device = log_probs.device
        right = right.to(device)
        lengths = torch.tensor([[len(label) for label in row.tree.labels] for row in rows], device=device)
        scored = torch.arange(log_probs.shape[-1], device=device) < lengths[..., None]
        answer = None
        if self._objective.reads_answer:
            place = -torch.ones_like(right) if self._reads_answer else right
            each = torch.arange(len(rows), device=device)
            answer = log_probs[each, place].sum(dim=-1) / lengths[each, place]
        n_labels = len(self._training.texts)
        return LabelTokens(
            log_probs=log_probs[:, :n_labels],
            scored=scored[:, :n_labels],
            token_counts=lengths[:, :n_labels] - int(self._training.end is not None),
            right=right,
            texts=self._training.texts,
            answer=answer,
        )

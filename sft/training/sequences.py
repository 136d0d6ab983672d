"""The training set: token ids, and labels that put exactly the answer and its end-of-turn into the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sft.data.example import Example
from sft.data.sampling import InContextExamples
from sft.errors import TrainingError
from sft.progress import progress
from sft.prompting.build import PromptBuilder, TrainingSequence
from sft.prompting.labelled import IGNORED, LabelledIds

if TYPE_CHECKING:
    from datasets import Dataset

Row = TypeVar("Row")


def training_sequences(
    pool: Sequence[Example], in_context: InContextExamples, builder: PromptBuilder
) -> list[TrainingSequence]:
    """One sequence per row of the pool. Raises `TrainingError` for an empty pool."""
    return [
        builder.training_sequence(example, in_context.for_query(example))
        for example in progress(refuse_nothing(pool), "building training prompts")
    ]


def refuse_nothing(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows. Raises `TrainingError` where there are none."""
    if not rows:
        raise TrainingError(
            "there is no row to train on: dataset.shots is 0", "raise dataset.shots, or use `evaluate` without training"
        )
    return rows


def answers_only(args: Any) -> bool:
    """Whether prompts are left out of the loss. args: an `SFTConfig`."""
    return args.completion_only_loss is not False


def loss_labels(sequence: TrainingSequence, *, answers_only: bool = True) -> list[int]:
    """The token to predict at each position, `IGNORED` on the prompt unless the whole sequence is asked for.

    Nothing predicts the first token, and some models' losses would count it among the tokens to divide by.
    """
    start = max(1, sequence.n_prompt) if answers_only else 1
    return [IGNORED] * start + sequence.ids[start:]


def as_dataset(rows: Sequence[LabelledIds]) -> Dataset:
    """Columns `input_ids` and `labels`, which TRL takes as they are."""
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": [row.ids for row in rows], "labels": [row.labels for row in rows]})

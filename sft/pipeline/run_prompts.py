"""The format of a run's prompts, and builders of them: what a tokenizer and the data say of a run, without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sft.adapters import method_of
from sft.config.schema import ExperimentConfig
from sft.data.sampling import InContextExamples
from sft.inference.label_end import scored_end
from sft.pipeline.label_training import label_training
from sft.pipeline.prepare import Prepared
from sft.pipeline.tasks import task_of
from sft.prompting.build import LabelPrompt, PromptBuilder, TrainingSequence
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import PromptFormat
from sft.prompting.question_in_answer import QuestionInAnswer
from sft.training.label_loss import LabelTraining

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class RunPrompts:
    """max_positions: what the architecture can place, None for no limit. encoder: of the tokenizer; by default, a new
    one is made. Raises `PromptError` for a format that the tokenizer doesn't have.
    """

    def __init__(
        self,
        prepared: Prepared,
        tokenizer: PreTrainedTokenizerBase,
        max_positions: int | None,
        encoder: TextEncoder | None = None,
    ) -> None:
        self._prepared = prepared
        self._max_positions = max_positions
        self.encoder = encoder or TextEncoder(tokenizer)
        self._prompts = task_of(prepared.config).prompts(prepared)
        self.format: PromptFormat = choose_format(tokenizer, self.encoder, self._prompts.prompting)
        in_answer, of_chat = self._prompts.in_answer, self._prompts.of_chat
        if in_answer is not None and (self.format.name == "chat" or not of_chat):
            self.format = QuestionInAnswer(self.format, in_answer)

    def limit(self, limit: int | None, virtual_tokens: int = 0) -> int | None:
        """The tokens that a prompt has with its answer at most: `limit`, and no more than the model has positions.

        virtual_tokens: positions that an adapter takes.
        """
        positions = None if self._max_positions is None else self._max_positions - virtual_tokens
        return min((value for value in (limit, positions) if value is not None), default=None)

    def builder(self, limit: int | None, virtual_tokens: int = 0) -> PromptBuilder:
        """Of prompts within `self.limit` of the same arguments."""
        return self._builder(self.limit(limit, virtual_tokens))

    def unlimited(self) -> PromptBuilder:
        """Of the same prompts, however long they are."""
        return self._builder(None)

    def scored_end(self, builder: PromptBuilder) -> int | None:
        """The token that is scored after each label of the task, or None."""
        choice = self._prepared.config.inference_or_default.label_end
        return scored_end(choice, self.format, builder.bare_labels() if self._prompts.labels else LabelPrompt([], []))

    def _builder(self, limit: int | None) -> PromptBuilder:
        prompting, labels, never_cut = self._prompts[:3]
        return PromptBuilder(self.encoder, self.format, prompting, labels, limit, never_cut)


def virtual_tokens_of(config: ExperimentConfig) -> int:
    """Positions that the adapter which the config trains takes from every sequence."""
    adapter = config.adapter_spec
    return 0 if adapter is None else method_of(adapter).virtual_tokens(adapter.args)


class TrainingPrompts(NamedTuple):
    """sequences: what is trained on. labels: the same with all labels, for an objective that reads them."""

    sequences: Sequence[TrainingSequence]
    labels: LabelTraining | None


def training_prompts(
    prepared: Prepared, prompt_format: PromptFormat, builder: PromptBuilder, shown: InContextExamples
) -> TrainingPrompts:
    """Of all rows of the pool. shown: their in-context examples. Raises `TrainingError` for an empty pool."""
    labels = label_training(prepared, prompt_format, shown, builder)
    if labels is not None:
        return TrainingPrompts(labels.sequences(), labels)
    return TrainingPrompts(task_of(prepared.config).training_sequences(prepared, shown, builder), None)

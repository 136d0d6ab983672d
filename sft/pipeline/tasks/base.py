"""What a task type decides: how rows are answered, and what is compared with what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sft.calibration import Needs
from sft.calibration.scored import ScoredInput
from sft.config.schema import ExperimentConfig
from sft.data.example import Example
from sft.data.sampling import InContextExamples
from sft.evaluation.outcome import Outcome
from sft.pipeline.answers import Answers
from sft.pipeline.prepare import Prepared
from sft.prompting.build import PromptBuilder
from sft.registry import Registry
from sft.training.sequences import training_sequences

if TYPE_CHECKING:
    from sft.pipeline.answer import Answerer
    from sft.prompting.build import TrainingSequence


class Asked(NamedTuple):
    """Rows to answer, and what with.

    builder: of prompts within the limit of inference. shown: the in-context examples. also: what to score beside the
    rows though the run itself doesn't need it. shots: the scores of the shots, where other models had to give them;
    None where this model may.
    """

    answerer: Answerer
    examples: Sequence[Example]
    builder: PromptBuilder
    shown: InContextExamples
    also: Sequence[Needs] = ()
    shots: Sequence[ScoredInput] | None = None


class Task(ABC):
    """Registered under the task type's name."""

    @abstractmethod
    def answer(self, asked: Asked) -> Answers:
        """The model's answers to the rows, in order."""

    @abstractmethod
    def outcome(self, prepared: Prepared, answers: Answers) -> Outcome:
        """The answers to the test rows in the form that metrics take."""

    @abstractmethod
    def reference(self, prepared: Prepared, example: Example) -> dict[str, Any]:
        """What the items of a record say of a row's right answer."""

    def baselines(self, prepared: Prepared) -> dict[str, dict[str, Any]]:
        """What the same labels give without a language model."""
        return {}

    def training_sequences(
        self, prepared: Prepared, shown: InContextExamples, builder: PromptBuilder
    ) -> list[TrainingSequence]:
        """What is trained on: the pool, each row after in-context examples of the others."""
        return training_sequences(prepared.pool, shown, builder)


task_registry: Registry[Task] = Registry("task type")


def task_of(config: ExperimentConfig) -> Task:
    return task_registry[config.dataset.task_type]

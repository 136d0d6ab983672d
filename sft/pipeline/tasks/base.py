"""What a task type decides: how rows are answered, and what is compared with what."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sft.calibration import Needs
from sft.config.schema import ExperimentConfig, PromptingConfig
from sft.data.example import Example, LabelSet
from sft.data.sampling import InContextExamples
from sft.evaluation.outcome import Outcome
from sft.pipeline.answers import Answers
from sft.pipeline.prepare import Prepared
from sft.prompting.build import LabelPrompt, PromptBuilder
from sft.registry import Registry
from sft.training.sequences import training_sequences

if TYPE_CHECKING:
    from sft.pipeline.answer import Answerer
    from sft.prompting.build import TrainingSequence

logger = logging.getLogger(__name__)

_DEFAULT_NEW_TOKENS = 256
_REFERENCES_MEASURED = 1000


class ScoredShot(Protocol):
    """What a model that hasn't seen a shot's labels says of it. row: its number in the train split."""

    @property
    def row(self) -> int: ...

    def as_item(self) -> dict[str, Any]: ...


class Prompts(NamedTuple):
    """What prompts are built from. labels: the possible answers; None where they are in the model's own words.

    never_cut: columns that length limits leave whole. in_answer: one that begins the answer (see `QuestionInAnswer`),
    in a chat only where `of_chat`.
    """

    prompting: PromptingConfig
    labels: LabelSet | None
    never_cut: Sequence[str] = ()
    in_answer: str | None = None
    of_chat: bool = False


class Obstacle(NamedTuple):
    """Why shots can't be scored, and what to do."""

    what: str
    fix: str


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
    shots: Sequence[Any] | None = None


class Task(ABC):
    """Registered under the task type's name."""

    def prompts(self, prepared: Prepared) -> Prompts:
        """How a row becomes a prompt."""
        return Prompts(prepared.config.prompting, prepared.labels)

    @abstractmethod
    def answer(self, asked: Asked) -> Answers:
        """The model's answers to the rows, in order."""

    @abstractmethod
    def outcome(self, prepared: Prepared, answers: Answers) -> Outcome:
        """The answers to the test rows in the form that metrics take."""

    @abstractmethod
    def reference(self, prepared: Prepared, example: Example) -> dict[str, Any]:
        """What the items of a record say of a row's right answer."""

    def prediction(self, prepared: Prepared, answers: Answers, i: int) -> Any:
        """What they say of the answer to the i-th row."""
        return answers.texts[i]

    def baselines(self, prepared: Prepared) -> dict[str, dict[str, Any]]:
        """What the same labels give without a language model."""
        return {}

    def scored_prompt(
        self, prepared: Prepared, builder: PromptBuilder, example: Example, shown: Sequence[Example]
    ) -> LabelPrompt | None:
        """The prompt of a row with the answers that are scored after it; None where its answer is generated.

        shown: the in-context examples, the nearest last.
        """
        return None

    def longest_answer(self, prepared: Prepared, builder: PromptBuilder) -> int:
        """Tokens that a generated answer may need, where the config doesn't say: those of the longest reference of
        training.
        """
        references = prepared.data.train[:_REFERENCES_MEASURED]
        return max((builder.answer_length(example) for example in references), default=_DEFAULT_NEW_TOKENS)

    def training_sequences(
        self, prepared: Prepared, shown: InContextExamples, builder: PromptBuilder
    ) -> list[TrainingSequence]:
        """What is trained on: the pool, each row after in-context examples of the others."""
        return training_sequences(prepared.pool, shown, builder)


class ShotScoringTask(Task):
    """A task whose answers may depend on what models that haven't seen the shots' labels say of the shots."""

    @abstractmethod
    def scores_shots(self, config: ExperimentConfig) -> bool:
        """Whether a run scores its shots, if it can."""

    @abstractmethod
    def needs_shots(self, config: ExperimentConfig) -> bool:
        """Whether its answers depend on those scores."""

    @abstractmethod
    def do_without_shots(self, prepared: Prepared, obstacle: Obstacle) -> None:
        """Called where shots are to be scored and can't be. Raises `SftError` where that won't do."""

    @abstractmethod
    def score_shots(self, answerer: Answerer, shots: Sequence[Example]) -> Sequence[ScoredShot]:
        """Scores of labelled rows that the answerer's model wasn't trained on."""

    @abstractmethod
    def read_shot(self, item: Mapping[str, Any]) -> ScoredShot:
        """A scored shot from its `as_item`."""


task_registry: Registry[Task] = Registry("task type")


def task_of(config: ExperimentConfig) -> Task:
    return task_registry[config.dataset.task_type]


def task_scoring_shots(config: ExperimentConfig) -> ShotScoringTask | None:
    """The task of a run that scores its shots, if it can; None for other runs."""
    task = task_of(config)
    return task if isinstance(task, ShotScoringTask) and task.scores_shots(config) else None

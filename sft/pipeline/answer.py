"""A loaded model with a run's prompts around it: it answers rows, and scores and generates for those who ask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sft.calibration import Needs
from sft.calibration.scored import ScoredInput
from sft.config.schema import ExperimentConfig
from sft.data.example import Example
from sft.inference.constrained.vocabulary import Vocabulary
from sft.inference.generation.constraint import Constraint
from sft.inference.generation.finished_rows import FinishedRows
from sft.inference.generation.generator import Generator
from sft.inference.label_end import scored_end
from sft.inference.label_scorer import LabelScorer
from sft.inference.shards import Shards
from sft.label_scores import LabelScores
from sft.models.load import LoadedModel
from sft.pipeline.answers import Answers
from sft.pipeline.example_prompt import example_prompt
from sft.pipeline.label_scoring import LabelScoring
from sft.pipeline.prepare import Prepared
from sft.pipeline.support import SupportPrompt, shot_input
from sft.pipeline.tasks import Asked, task_of
from sft.pipeline.tasks.base import ScoredShot
from sft.progress import progress
from sft.prompting.build import LabelPrompt, PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import PromptFormat
from sft.prompting.question_in_answer import QuestionInAnswer

logger = logging.getLogger(__name__)


class Generated(NamedTuple):
    """One text per row, and what a record says of how they were made."""

    texts: list[str]
    report: dict[str, Any]


class Answerer:
    """shards, finished: where scores of finished parts, and texts of finished rows, are kept."""

    def __init__(
        self,
        prepared: Prepared,
        loaded: LoadedModel,
        shards: Shards | None = None,
        finished: FinishedRows | None = None,
    ) -> None:
        self.prepared = prepared
        self._config: ExperimentConfig = prepared.config
        self._loaded = loaded
        self._shards = shards
        self._finished = finished
        self._encoder = TextEncoder(loaded.tokenizer)
        self._prompts = task_of(self._config).prompts(prepared)
        self.format: PromptFormat = choose_format(loaded.tokenizer, self._encoder, self._prompts.prompting)
        in_answer, of_chat = self._prompts.in_answer, self._prompts.of_chat
        if in_answer is not None and (self.format.name == "chat" or not of_chat):
            self.format = QuestionInAnswer(self.format, in_answer)

    def answer(
        self, examples: Sequence[Example], *, also: Sequence[Needs] = (), shots: Sequence[ScoredShot] | None = None
    ) -> Answers:
        """Answer every row, as the task type says. Prompts use in-context examples of the pool only.

        also, shots: see `Asked`.
        """
        builder = self.builder(self._config.inference_or_default.max_seq_length)
        shown = self.prepared.inference_examples()
        answers = task_of(self._config).answer(Asked(self, examples, builder, shown, also, shots))
        warning = builder.counts.warning("inference")
        if warning:
            logger.warning(warning)
        answers.report.update(
            format=self.format.name, in_context_examples=shown.counts, truncation=builder.counts.as_dict()
        )
        return answers

    def builder(self, limit: int | None, virtual_tokens: int = 0) -> PromptBuilder:
        """Of prompts that have, with their answers, at most `limit` tokens, and no more than the model has positions.

        virtual_tokens: positions that an adapter will take.
        """
        positions = self._loaded.max_positions
        if positions is not None:
            positions -= max(virtual_tokens, self._loaded.virtual_tokens)
        limits = [value for value in (limit, positions) if value is not None]
        prompting, labels, never_cut = self._prompts[:3]
        return PromptBuilder(self._encoder, self.format, prompting, labels, min(limits, default=None), never_cut)

    def label_scores(self, shots: Sequence[Example]) -> list[ScoredInput]:
        """Scores of labelled rows that this model wasn't trained on, after in-context examples of its own pool."""
        builder = self.builder(self._config.inference_or_default.max_seq_length)
        shown = self.prepared.held_out_examples()
        prompts = [
            SupportPrompt(shot_input(shot, self.prepared), builder.label_prompt(shot, shown.for_query(shot)))
            for shot in shots
        ]
        return self.label_scoring(builder).score([], prompts).support

    def score_references(self, examples: Sequence[Example]) -> LabelScores:
        """Log-probability of each row's reference and the end of the turn: `log_probs` [N, 1], counts [N, 1].

        The rows aren't in the pool, whose rows are the in-context examples; references are cut as in training.
        """
        builder = self.builder(self._config.inference_or_default.max_seq_length)
        shown = self.prepared.held_out_examples()
        prompts = []
        for example in examples:
            ids, n_prompt = builder.training_sequence(example, shown.for_query(example))
            prompts.append(LabelPrompt(ids[:n_prompt], [ids[n_prompt:-1]]))
        return self.scorer().score(prompts, self.format.eot_id)

    def label_scoring(self, builder: PromptBuilder) -> LabelScoring:
        choice = self._config.inference_or_default.label_end
        if self.prepared.labels is not None:
            end = scored_end(choice, self.format, builder.bare_labels())
            return LabelScoring(self.prepared, self.scorer(), end)
        end = scored_end(choice, self.format, LabelPrompt([], []))
        in_need = self.format.eot_id if choice == "auto" and end is None else None
        return LabelScoring(self.prepared, self.scorer(), end, in_need)

    def scorer(self) -> LabelScorer:
        inference = self._config.inference_or_default
        return LabelScorer(self._loaded, inference.batch_size, inference.scorer, inference.compile, self._shards)

    def max_new_tokens(self, longest: Callable[[], int]) -> int:
        """What the config says, else what the longest answer of the task needs."""
        given = self._config.inference_or_default.generation_args.get("max_new_tokens")
        given = given or self._config.prompting.max_output_length
        return longest() if given is None else int(given)

    def example(self, example: Example, prompt: Sequence[int]) -> dict[str, Any]:
        """What a record says of the prompt of a row, to show what the model read."""
        return {"example": {"row": example.row, **example_prompt(prompt, self._loaded.tokenizer)}}

    def vocabulary(self) -> Vocabulary:
        """The tokens that constrained texts may be made of."""
        return Vocabulary.of(self._loaded, self.format.eot_id)

    def generate(self, asked: Asked, max_new_tokens: int, constraint: Constraint | None = None) -> Generated:
        """One text for each row that is asked. constraint: what the texts may be."""
        inference = self._config.inference_or_default
        generator = Generator(
            self._loaded,
            self.format,
            inference.generation_args,
            max_new_tokens=max_new_tokens,
            ends_at_separator=len(asked.shown) > 0 and "stop_strings" not in inference.generation_args,
            batch_size=inference.batch_size,
            decoder=inference.decoder,
        )
        prompts = [
            asked.builder.generation_prompt(example, asked.shown.for_query(example), max_new_tokens)
            for example in progress(asked.examples, "building prompts")
        ]
        example = self.example(asked.examples[0], prompts[0]) if prompts else {}
        texts = generator.generate(prompts, self._config.seed, constraint=constraint, finished=self._finished)
        report = {"method": "generate", "max_new_tokens": max_new_tokens, "decoder": generator.report(), **example}
        return Generated(texts, report)

"""Answers of a model on test rows, by whichever method the config names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sft.calibration import Needs
from sft.calibration.scored import ScoredInput
from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.data.sampling import InContextExamples
from sft.inference.generation.finished_rows import FinishedRows
from sft.inference.generation.generator import Generator
from sft.inference.label_end import scored_end
from sft.inference.label_scorer import LabelScorer
from sft.inference.parse import parse_label
from sft.inference.shards import Shards
from sft.label_scores import INVALID, LabelScores
from sft.models.load import LoadedModel
from sft.pipeline.answers import Answers
from sft.pipeline.conclude import needs_of
from sft.pipeline.label_scoring import LabelScoring
from sft.pipeline.prepare import Prepared
from sft.pipeline.support import SupportPrompt, shot_input, support_prompts
from sft.progress import progress
from sft.prompting.build import LabelPrompt, PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import PromptFormat

logger = logging.getLogger(__name__)

_DEFAULT_NEW_TOKENS = 256
_REFERENCES_MEASURED = 1000


class Answerer:
    """A loaded model with the run's prompts around it.

    shards, finished: where scores of finished parts, and texts of finished rows, are kept.
    """

    def __init__(
        self,
        prepared: Prepared,
        loaded: LoadedModel,
        shards: Shards | None = None,
        finished: FinishedRows | None = None,
    ) -> None:
        self._prepared = prepared
        self._config: ExperimentConfig = prepared.config
        self._loaded = loaded
        self._shards = shards
        self._finished = finished
        self._encoder = TextEncoder(loaded.tokenizer)
        self.format: PromptFormat = choose_format(loaded.tokenizer, self._encoder, self._config.prompting)

    def training_builder(self, max_length: int | None, virtual_tokens: int = 0) -> PromptBuilder:
        """Prompts of training rows, of at most `max_length` tokens with their answers.

        virtual_tokens: positions that the adapter will take.
        """
        return self._builder(max_length, virtual_tokens)

    def answer(
        self, examples: Sequence[Example], *, also: Sequence[Needs] = (), shots: Sequence[ScoredInput] | None = None
    ) -> Answers:
        """Answer every row. Prompts use in-context examples of the pool only.

        also: what to score beside the rows though the config's own calibration doesn't need it. shots: the scores of
        the shots, where other models had to give them; None where this model may.
        """
        inference = self._config.inference_or_default
        builder = self._builder(inference.max_seq_length)
        shown = self._prepared.inference_examples()
        labels = self._prepared.labels
        if labels is not None and inference.method == "logits":
            answers = self._score(examples, builder, shown, also, shots)
        else:
            answers = self._generate(examples, builder, shown, labels)
        warning = builder.counts.warning("inference")
        if warning:
            logger.warning(warning)
        answers.report.update(
            format=self.format.name, in_context_examples=shown.counts, truncation=builder.counts.as_dict()
        )
        return answers

    def _builder(self, limit: int | None, virtual_tokens: int = 0) -> PromptBuilder:
        positions = self._loaded.max_positions
        if positions is not None:
            positions -= max(virtual_tokens, self._loaded.virtual_tokens)
        limits = [value for value in (limit, positions) if value is not None]
        prompting = self._config.prompting
        return PromptBuilder(self._encoder, self.format, prompting, self._prepared.labels, min(limits, default=None))

    def score_shots(self, shots: Sequence[Example]) -> list[ScoredInput]:
        """Scores of labelled rows that this model wasn't trained on, after in-context examples of its own pool."""
        builder = self._builder(self._config.inference_or_default.max_seq_length)
        shown = self._prepared.held_out_examples()
        prompts = [
            SupportPrompt(shot_input(shot, self._prepared), builder.label_prompt(shot, shown.for_query(shot)))
            for shot in shots
        ]
        return self._label_scoring(builder).score([], prompts).support

    def score_references(self, examples: Sequence[Example]) -> LabelScores:
        """Log-probability of each row's reference and the end of the turn: `log_probs` [N, 1], counts [N, 1].

        The rows aren't in the pool, whose rows are the in-context examples; references are cut as in training.
        """
        builder = self._builder(self._config.inference_or_default.max_seq_length)
        shown = self._prepared.held_out_examples()
        prompts = []
        for example in examples:
            ids, n_prompt = builder.training_sequence(example, shown.for_query(example))
            prompts.append(LabelPrompt(ids[:n_prompt], [ids[n_prompt:-1]]))
        return self._scorer().score(prompts, self.format.eot_id)

    def _label_scoring(self, builder: PromptBuilder) -> LabelScoring:
        end = scored_end(self._config.inference_or_default.label_end, self.format, builder.bare_labels())
        return LabelScoring(self._prepared, self._scorer(), end)

    def _scorer(self) -> LabelScorer:
        inference = self._config.inference_or_default
        return LabelScorer(self._loaded, inference.batch_size, inference.scorer, inference.compile, self._shards)

    def _score(
        self,
        examples: Sequence[Example],
        builder: PromptBuilder,
        shown: InContextExamples,
        also: Sequence[Needs],
        shots: Sequence[ScoredInput] | None,
    ) -> Answers:
        prompts = [
            builder.label_prompt(example, shown.for_query(example))
            for example in progress(examples, "building prompts")
        ]
        needed = needs_of(self._config.inference_or_default)
        if shots is not None:
            needed, also = _without_shots(needed), _without_shots(also)
        # A builder of its own, because what it cuts says nothing of the test rows.
        other = self._builder(self._config.inference_or_default.max_seq_length)
        beside = support_prompts(self._prepared, other, examples, shown, needed=needed, also=also)
        answers = self._label_scoring(builder).answers(examples, prompts, beside, shots or ())
        answers.report["label_tokens"] = [len(ids) for ids in builder.bare_labels().labels]
        answers.report["support"]["truncation"] = other.counts.as_dict()
        return answers

    def _generate(
        self, examples: Sequence[Example], builder: PromptBuilder, shown: InContextExamples, labels: LabelSet | None
    ) -> Answers:
        inference = self._config.inference_or_default
        max_new_tokens = self._max_new_tokens(builder, labels)
        generator = Generator(
            self._loaded,
            self.format,
            inference.generation_args,
            max_new_tokens=max_new_tokens,
            ends_at_separator=len(shown) > 0 and "stop_strings" not in inference.generation_args,
            batch_size=inference.batch_size,
            decoder=inference.decoder,
        )
        prompts = [
            builder.generation_prompt(example, shown.for_query(example), max_new_tokens)
            for example in progress(examples, "building prompts")
        ]
        texts = generator.generate(prompts, self._config.seed, finished=self._finished)
        report = {"method": "generate", "max_new_tokens": max_new_tokens, "decoder": generator.report()}
        if labels is None:
            return Answers(texts=texts, generated=texts, report=report)
        parsed = np.array([parse_label(text, labels.verbalisations) for text in texts], dtype=np.int64)
        names = ["" if i == INVALID else labels.names[i] for i in parsed]
        return Answers(texts=names, label_indices=parsed, generated=texts, report=report)

    def _max_new_tokens(self, builder: PromptBuilder, labels: LabelSet | None) -> int:
        """What the config says, else what the longest label or training reference needs."""
        given = self._config.inference_or_default.generation_args.get("max_new_tokens")
        given = given or self._config.prompting.max_output_length
        if given is not None:
            return int(given)
        if labels is not None:
            return max(map(len, builder.bare_labels().labels)) + 1
        references = self._prepared.data.train[:_REFERENCES_MEASURED]
        return max((builder.answer_length(example) for example in references), default=_DEFAULT_NEW_TOKENS)


def _without_shots(needs: Sequence[Needs]) -> list[Needs]:
    return [replace(one, shots=False) for one in needs]

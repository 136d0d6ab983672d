"""Answers of a model on test rows, by whichever method the config names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.calibration import Calibration, calibration_registry
from sft.config.schema import ExperimentConfig
from sft.data.example import Example, LabelSet
from sft.data.sampling import InContextExamples
from sft.inference.generate import Generator
from sft.inference.label_end import scored_end
from sft.inference.label_scorer import LabelScorer
from sft.inference.parse import INVALID, parse_label
from sft.inference.scores import LabelScores, probabilities
from sft.models.load import LoadedModel
from sft.pipeline.prepare import Prepared
from sft.progress import progress
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import PromptFormat

logger = logging.getLogger(__name__)

_CONTENT_FREE_ROW = 2**31 - 1
_DEFAULT_NEW_TOKENS = 256
_REFERENCES_MEASURED = 1000


@dataclass(frozen=True)
class Answers:
    """What the model said of each row.

    texts: the predicted label's name ("" for an answer that names none) or the generated text. label_indices: [N]
    for classification. probabilities: [N, L] where labels were scored. generated: the raw text, where there is one.
    report: how they were obtained, for the record.
    """

    texts: list[str]
    label_indices: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float64] | None = None
    scores: LabelScores | None = None
    generated: list[str] | None = None
    report: dict[str, Any] = field(default_factory=dict)


class Answerer:
    """A loaded model with the run's prompts around it."""

    def __init__(self, prepared: Prepared, loaded: LoadedModel) -> None:
        self._prepared = prepared
        self._config: ExperimentConfig = prepared.config
        self._loaded = loaded
        self._encoder = TextEncoder(loaded.tokenizer)
        self.format: PromptFormat = choose_format(loaded.tokenizer, self._encoder, self._config.prompting)

    def training_builder(self, max_length: int | None) -> PromptBuilder:
        """Prompts of training rows, of at most `max_length` tokens with their answers."""
        return self._builder(max_length)

    def answer(self, examples: Sequence[Example]) -> Answers:
        """Answer every row. Prompts use in-context examples of the pool only."""
        inference = self._config.inference_or_default
        builder = self._builder(inference.max_seq_length)
        shown = self._prepared.inference_examples()
        labels = self._prepared.labels
        if labels is not None and inference.method == "logits":
            answers = self._score(examples, builder, shown, labels)
        else:
            answers = self._generate(examples, builder, shown, labels)
        warning = builder.counts.warning("inference")
        if warning:
            logger.warning(warning)
        answers.report.update(
            format=self.format.name, in_context_examples=shown.counts, truncation=builder.counts.as_dict()
        )
        return answers

    def _builder(self, limit: int | None) -> PromptBuilder:
        limits = [value for value in (limit, self._loaded.max_positions) if value is not None]
        prompting = self._config.prompting
        return PromptBuilder(self._encoder, self.format, prompting, self._prepared.labels, min(limits, default=None))

    def _score(
        self, examples: Sequence[Example], builder: PromptBuilder, shown: InContextExamples, labels: LabelSet
    ) -> Answers:
        inference = self._config.inference_or_default
        bare = builder.bare_labels()
        end = scored_end(inference.label_end, self.format, bare)
        scorer = LabelScorer(self._loaded, inference.batch_size, inference.scorer)
        prompts = [
            builder.label_prompt(example, shown.for_query(example))
            for example in progress(examples, "building prompts")
        ]
        scores = scorer.score(prompts, end)
        report: dict[str, Any] = {
            "method": "logits",
            "scorer": scorer.report(),
            "label_end": "none" if end is None else "eot",
            "label_tokens": [len(ids) for ids in bare.labels],
            "calibration": None,
        }
        adjusted = scores.log_probs
        if inference.calibration is not None:
            calibration: Calibration = calibration_registry[inference.calibration.method](**inference.calibration.args)
            content_free = self._content_free_scores(calibration, builder, shown, scorer, end)
            adjusted = calibration.adjust(scores.log_probs, content_free)
            report["calibration"] = {
                **inference.calibration.model_dump(),
                "transductive": calibration.transductive,
                "content_free_scores": content_free.tolist(),
            }
        indices = adjusted.argmax(axis=1)
        return Answers(
            texts=[labels.names[i] for i in indices],
            label_indices=indices,
            probabilities=probabilities(adjusted),
            scores=scores,
            report=report,
        )

    def _content_free_scores(
        self,
        calibration: Calibration,
        builder: PromptBuilder,
        shown: InContextExamples,
        scorer: LabelScorer,
        end: int | None,
    ) -> NDArray[np.float64]:
        """Scores of the calibration's content-free inputs after the same instruction and in-context examples."""
        columns = self._config.prompting.input_columns
        texts = calibration.content_free_inputs()
        examples = [Example(_CONTENT_FREE_ROW, dict.fromkeys(columns, text)) for text in texts]
        if not examples:
            return np.empty((0, len(self._prepared.labels or ())))
        prompts = [builder.label_prompt(example, shown.for_query(example)) for example in examples]
        return scorer.score(prompts, end).log_probs

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
        )
        prompts = [
            builder.generation_prompt(example, shown.for_query(example), max_new_tokens)
            for example in progress(examples, "building prompts")
        ]
        texts = generator.generate(prompts, self._config.seed)
        report: dict[str, Any] = {"method": "generate", "max_new_tokens": max_new_tokens}
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

"""Examples → token sequences: for training, for label scoring, for generation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from sft.common_start import common_start
from sft.config.schema import PromptingConfig
from sft.data.example import Example, LabelSet
from sft.errors import PromptError
from sft.prompting.encoder import Piece, TextEncoder
from sft.prompting.format import Demonstration, PromptFormat
from sft.prompting.limits import Fitted, TruncationCounts, fit


class TrainingSequence(NamedTuple):
    """Prompt, answer and end-of-turn; the last `len(ids) - n_prompt` tokens are what the model learns to say."""

    ids: list[int]
    n_prompt: int


class LabelPrompt(NamedTuple):
    """A prompt and the tokens of every label, or of the row's candidates, after it (without end-of-turn), in order.

    given: how many of a label's tokens are only read, because they are not what is scored; none where it is empty.
    """

    prompt: list[int]
    labels: list[list[int]]
    given: Sequence[int] = ()


class WrittenPrompt(NamedTuple):
    """A prompt and its answers as texts, and their tokens."""

    text: str
    answers: list[str]
    ids: LabelPrompt


Length = Callable[[Sequence[Demonstration], Mapping[str, str]], int]


class PromptBuilder:
    """Builds the prompts of one stage of a run (training or inference) and counts what it had to cut.

    limit: tokens of prompt plus answer; None for no limit. never_cut: columns that every length limit leaves whole; the
    last ones. Raises `PromptError` for a label longer than `prompting.max_output_length`.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        prompt_format: PromptFormat,
        prompting: PromptingConfig,
        labels: LabelSet | None,
        limit: int | None,
        never_cut: Collection[str] = (),
    ) -> None:
        self._encoder = encoder
        self._format = prompt_format
        self._prompting = prompting
        self._labels = labels
        self._limit = limit
        self._never_cut = frozenset(never_cut)
        self._label_answers = [prompt_format.answer(text) for text in labels.verbalisations] if labels else []
        self._cut_inputs: dict[tuple[str, ...], Mapping[str, str]] = {}
        self.counts = TruncationCounts()
        self._check_label_lengths()

    def training_sequence(self, example: Example, shown: Sequence[Example]) -> TrainingSequence:
        """shown: the in-context examples, the nearest last."""
        answer = self._format.answer(self._answer(example))

        def parts(demonstrations: Sequence[Demonstration], inputs: Mapping[str, str]) -> tuple[list[int], list[int]]:
            prompt, answers = self._encoder.encode_answers(self._format.prompt(demonstrations, inputs), [answer])
            return self._format.prefix_ids + prompt, [*answers[0], self._format.eot_id]

        prompt, answer_ids = parts(*self._fit(example, shown, lambda d, i: sum(map(len, parts(d, i)))))
        return TrainingSequence(prompt + answer_ids, len(prompt))

    def label_prompt(self, example: Example, shown: Sequence[Example]) -> LabelPrompt:
        """The prompt of a row with the tokens of every label, or of its candidates, after it; the limit holds for the
        longest of them.
        """
        answers = self._alternatives(example)
        return self._with_answers(self._format.prompt(*self._fit_answers(example, shown, answers)), answers)

    def written(self, example: Example, shown: Sequence[Example]) -> WrittenPrompt:
        """What `label_prompt` gives, with the texts of which it is made, special tokens by their names."""
        answers = self._alternatives(example)
        pieces = self._format.prompt(*self._fit_answers(example, shown, answers))
        return WrittenPrompt("".join(piece.text for piece in pieces), answers, self._with_answers(pieces, answers))

    def questions(self, examples: Sequence[Example], shown: Sequence[Example]) -> LabelPrompt:
        """The prompts of examples that differ in what is never cut, as one: what they begin with, and of each example
        in turn the rest of its prompt with every label. The limit holds for the longest.
        """

        def parts(demonstrations: Sequence[Demonstration], inputs: Mapping[str, str]) -> LabelPrompt:
            prompts = [self._format.prompt(demonstrations, {**inputs, **self._whole(each)}) for each in examples]
            start, rests = self._encoder.encode_questions(prompts, self._label_answers)
            given = [common_start(min(rest), max(rest)) for rest in rests for _ in rest]
            return LabelPrompt(self._format.prefix_ids + start, [ids for rest in rests for ids in rest], given)

        def length(demonstrations: Sequence[Demonstration], inputs: Mapping[str, str]) -> int:
            made = parts(demonstrations, inputs)
            return len(made.prompt) + max(map(len, made.labels)) + 1

        return parts(*self._fit(examples[0], shown, length))

    def premise_prompt(self, text: str, example: Example) -> LabelPrompt:
        """A text as the whole prompt, with the tokens of every label, or of the example's candidates.

        Raises `PromptError` beyond the limit.
        """
        made = self._with_answers(self._format.alone(text), self._alternatives(example))
        length = len(made.prompt) + max(map(len, made.labels)) + 1
        if self._limit is not None and length > self._limit:
            raise PromptError(
                f"inference.pmi_premise needs {length} tokens with the longest label, the limit is {self._limit}",
                "shorten it",
            )
        return made

    def generation_prompt(self, example: Example, shown: Sequence[Example], max_new_tokens: int) -> list[int]:
        """The prompt of a row; the limit holds for prompt plus `max_new_tokens`."""

        answer = self._label_answers[0] if self._label_answers else self._format.answer("a")

        def prompt(demonstrations: Sequence[Demonstration], inputs: Mapping[str, str]) -> list[int]:
            pieces = self._format.prompt(demonstrations, inputs)
            return self._format.prefix_ids + self._encoder.encode_open(pieces, answer)

        return prompt(*self._fit(example, shown, lambda d, i: len(prompt(d, i)) + max_new_tokens))

    def bare_labels(self) -> LabelPrompt:
        """The labels' tokens after a prompt with empty inputs: what depends on model, format and labels only."""
        empty = dict.fromkeys(self._prompting.input_columns, "")
        return self._with_answers(self._format.prompt([], empty), self._label_answers)

    def answer_length(self, example: Example) -> int:
        """Tokens of an example's whole answer and its end-of-turn."""
        return self._encoder.count(self._format.answer(self._whole_answer(example))) + 1

    def _alternatives(self, example: Example) -> list[str]:
        """The answers between which a row's is chosen, as they are written after the prompt."""
        return [self._format.answer(text) for text in example.candidates] or self._label_answers

    def _with_answers(self, pieces: Sequence[Piece], answers: Sequence[str]) -> LabelPrompt:
        prompt, labels = self._encoder.encode_answers(pieces, answers)
        return LabelPrompt(self._format.prefix_ids + prompt, labels)

    def _fit_answers(self, example: Example, shown: Sequence[Example], answers: Sequence[str]) -> Fitted:
        """What of a row and its in-context examples has room with the longest of the answers."""

        def length(demonstrations: Sequence[Demonstration], inputs: Mapping[str, str]) -> int:
            made = self._with_answers(self._format.prompt(demonstrations, inputs), answers)
            return len(made.prompt) + max(map(len, made.labels)) + 1

        return self._fit(example, shown, length)

    def _fit(self, example: Example, shown: Sequence[Example], length: Length) -> Fitted:
        demonstrations = [
            Demonstration({**self._inputs(item), **self._whole(item)}, self._answer(item)) for item in shown
        ]
        whole = self._whole(example)
        fitted = fit(
            demonstrations,
            self._inputs(example),
            length=lambda kept, inputs: length(kept, {**inputs, **whole}),
            limit=self._limit,
            encoder=self._encoder,
            counts=self.counts,
        )
        return fitted._replace(inputs={**fitted.inputs, **whole})

    def _whole(self, example: Example) -> Mapping[str, str]:
        """The columns that are never cut."""
        return {column: text for column, text in example.inputs.items() if column in self._never_cut}

    def _inputs(self, example: Example) -> Mapping[str, str]:
        """The other columns, each cut to `max_input_length` tokens."""
        maximum = self._prompting.max_input_length
        inputs = {column: text for column, text in example.inputs.items() if column not in self._never_cut}
        if maximum is None:
            return inputs
        key = tuple(inputs.values())
        if key not in self._cut_inputs:
            cut = {column: self._encoder.cut(text, maximum) for column, text in inputs.items()}
            self.counts.input_columns_cut += sum(cut[column] != text for column, text in inputs.items())
            self._cut_inputs[key] = cut
        return self._cut_inputs[key]

    def _answer(self, example: Example) -> str:
        """The verbalised label, the right candidate, or the reference cut to `max_output_length` tokens."""
        text = self._whole_answer(example)
        maximum = self._prompting.max_output_length
        if example.label is not None or maximum is None:
            return text
        cut = self._encoder.cut(text, maximum)
        if cut != text and self._prompting.output_schema is not None:
            raise PromptError(
                f"prompting.max_output_length is {maximum}, and the reference {text[:200]!r} has "
                f"{self._encoder.count(text)} tokens: structured answers are never cut",
                "raise it, or set it to null",
            )
        self.counts.outputs_cut += cut != text
        return cut

    def _whole_answer(self, example: Example) -> str:
        if example.label is None:
            return example.references[0]
        alternatives = example.candidates if self._labels is None else self._labels.verbalisations
        return alternatives[example.label]

    def _check_label_lengths(self) -> None:
        maximum = self._prompting.max_output_length
        if self._labels is None or maximum is None:
            return
        for text, ids in zip(self._labels.verbalisations, self.bare_labels().labels, strict=True):
            if len(ids) > maximum:
                raise PromptError(
                    f"prompting.max_output_length is {maximum}, and the label {text!r} has {len(ids)} tokens: labels "
                    "are never cut",
                    f"set it to at least {len(ids)}, or to null",
                )

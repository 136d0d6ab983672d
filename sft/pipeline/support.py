"""The prompts that are scored beside the test rows: for the run's own calibration, and for others to be tried later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sft.calibration.base import CONTENT_FREE, Needs
from sft.calibration.scored import Kind, SupportInput
from sft.data.example import Example
from sft.data.sampling import InContextExamples
from sft.errors import PromptError
from sft.pipeline.prepare import Prepared
from sft.prompting.build import LabelPrompt, PromptBuilder

# What costs little and serves most calibrations: stored by every run that leaves a record.
ALWAYS_STORED = Needs(content_free=CONTENT_FREE, random_words=20, premise=True)

# No row of any split: it gives all inputs without content the same in-context examples, whatever the sampling is.
_NO_ROW = 2**31 - 1


class SupportPrompt(NamedTuple):
    input: SupportInput
    prompt: LabelPrompt


def support_prompts(
    prepared: Prepared,
    builder: PromptBuilder,
    test: Sequence[Example],
    shown: InContextExamples,
    *,
    needed: Sequence[Needs],
    also: Sequence[Needs],
) -> list[SupportPrompt]:
    """One prompt for each input that is needed, or that is to be stored `also`.

    test: the rows that are answered; shown: their in-context examples, which inputs without content follow too. An
    input of `also` alone is left out where its prompt has no token before the label (an empty input in a template that
    begins with it), because that can't be scored. Raises `PromptError` for a premise of the config of which that is
    true.
    """
    wanted = _wanted([*needed, *also], prepared, test, shown)
    made = [SupportPrompt(one.input, _prompt(one, builder)) for one in wanted]
    if all(one.prompt.prompt for one in made):
        return made
    required = [one.input for one in _wanted(needed, prepared, test, shown)]
    for one in made:
        if not one.prompt.prompt and one.input.prompt is not None and one.input in required:
            raise PromptError(
                f"inference.pmi_premise is {one.input.prompt!r}, which leaves no token before a label that is scored "
                "after it: the premise is the whole prompt, and the tokenizer adds none of its own",
                "write words into it, or set it to null (the prompt with empty inputs)",
            )
    return [one for one in made if one.prompt.prompt or one.input in required]


def shot_input(shot: Example, prepared: Prepared) -> SupportInput:
    assert shot.label is not None
    names = shot.candidates if prepared.labels is None else prepared.labels.names
    own = shot.candidates or None
    return SupportInput("shot", shot.inputs, row=shot.row, reference=names[shot.label], candidates=own)


class _Wanted(NamedTuple):
    """An input, and the in-context examples before it."""

    input: SupportInput
    example: Example
    shown: list[Example]


def _prompt(wanted: _Wanted, builder: PromptBuilder) -> LabelPrompt:
    if wanted.input.prompt is not None:
        return builder.premise_prompt(wanted.input.prompt, wanted.example)
    return builder.label_prompt(wanted.example, wanted.shown)


def _wanted(
    needs: Sequence[Needs], prepared: Prepared, test: Sequence[Example], shown: InContextExamples
) -> Iterator[_Wanted]:
    nowhere = Example(_NO_ROW, {})
    for kind, inputs in _without_content([one for one in needs if not one.per_prompt], prepared):
        yield _Wanted(SupportInput(kind, inputs), Example(_NO_ROW, inputs), shown.for_query(nowhere))
    for kind, inputs in _without_content([one for one in needs if one.per_prompt], prepared):
        for row in test:
            examples = shown.for_query(row)
            yield _Wanted(SupportInput(kind, inputs, test_row=row.row), Example(_NO_ROW, inputs), examples)
    if any(one.premise for one in needs):
        text = prepared.config.inference_or_default.pmi_premise
        empty = dict.fromkeys(prepared.config.prompting.input_columns, "") if text is None else {}
        examples = shown.for_query(nowhere)
        if prepared.labels is not None:
            yield _Wanted(SupportInput("premise", empty, prompt=text), Example(_NO_ROW, empty), examples)
        for row in test if prepared.labels is None else ():
            own = row.candidates
            read = SupportInput("premise", empty, test_row=row.row, prompt=text, candidates=own)
            yield _Wanted(read, Example(_NO_ROW, empty, candidates=own), examples)
    if any(one.shots for one in needs):
        others = prepared.calibration_examples()
        for shot in prepared.pool:
            yield _Wanted(shot_input(shot, prepared), shot, others.for_query(shot))
    if prepared.unlabelled is not None:
        for row in prepared.unlabelled.examples:
            read = SupportInput("unlabelled", row.inputs, row=row.row, file=prepared.unlabelled.path)
            yield _Wanted(read, row, shown.for_query(row))


def _without_content(needs: Sequence[Needs], prepared: Prepared) -> Iterator[tuple[Kind, dict[str, str]]]:
    """The content-free inputs and those of random words, each once."""
    for text in dict.fromkeys(text for one in needs for text in one.content_free):
        yield "content_free", dict.fromkeys(prepared.config.prompting.input_columns, text)
    for inputs in prepared.random_inputs(max((one.random_words for one in needs), default=0)):
        yield "random_words", inputs

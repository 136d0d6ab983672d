"""Making prompts fit: what goes first, what never goes, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from sft.data.example import Example, LabelSet
from sft.errors import PromptError
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from tests.fakes import IM_END, IM_START, byte_tokenizer, label_set, make_config

LABELS = label_set("yes", "no")
SHOWN = [Example(i, {"text": f"example {i}"}, label=i % 2) for i in range(4)]
QUERY = Example(9, {"text": "the query is a long one"}, label=1)
TOKENIZER = byte_tokenizer(chat=True)


def builder(limit: int | None, labels: LabelSet | None = LABELS, **prompting: Any) -> PromptBuilder:
    """Prompts of the byte tokenizer, whose length in tokens is that of their text in bytes (specials apart)."""
    config = make_config(prompting={"instruction": "Decide.", **prompting}).prompting
    encoder = TextEncoder(TOKENIZER)
    return PromptBuilder(encoder, choose_format(TOKENIZER, encoder, config), config, labels, limit)


def text_of(ids: list[int]) -> str:
    return str(TOKENIZER.decode(ids))


def conversation(examples: list[Example], query: str) -> str:
    turns = [("system", "Decide.")]
    for example in examples:
        assert example.label is not None
        turns += [("user", example.inputs["text"]), ("assistant", LABELS.verbalisations[example.label])]
    written = "".join(f"{IM_START}{role}\n{text}{IM_END}\n" for role, text in [*turns, ("user", query)])
    return f"{written}{IM_START}assistant\n"


def lengths(n_shown: int) -> int:
    """Tokens of prompt, the answer "no" and its end, without a limit."""
    return len(builder(None).training_sequence(QUERY, SHOWN[4 - n_shown :]).ids)


@pytest.mark.parametrize("n_kept", range(5))
def test_the_farthest_examples_are_dropped_first_and_whole(n_kept: int) -> None:
    for spare in (0, 5):
        made = builder(lengths(n_kept) + spare)
        sequence = made.training_sequence(QUERY, SHOWN)
        expected = conversation(SHOWN[4 - n_kept :], QUERY.inputs["text"])
        assert text_of(sequence.ids) == f"{expected}no{IM_END}"
        assert made.counts.examples_dropped == 4 - n_kept
        assert made.counts.prompts_with_shortened_input == 0


@pytest.mark.parametrize("missing", [1, 7, len(QUERY.inputs["text"])])
def test_then_the_input_is_shortened_and_all_else_survives(missing: int) -> None:
    made = builder(lengths(0) - missing)
    sequence = made.training_sequence(QUERY, SHOWN)
    kept = QUERY.inputs["text"][:-missing].rstrip()
    assert text_of(sequence.ids) == f"{conversation([], kept)}no{IM_END}"
    assert made.counts.as_dict() == {
        "prompts": 1,
        "input_columns_cut": 0,
        "outputs_cut": 0,
        "prompts_without_some_examples": 1,
        "examples_dropped": 4,
        "prompts_with_shortened_input": 1,
    }


def test_a_limit_that_not_even_an_empty_input_fits_is_an_error() -> None:
    fixed = lengths(0) - len(QUERY.inputs["text"])
    with pytest.raises(PromptError, match=rf"format's own tokens need {fixed} tokens, the limit is {fixed - 1}"):
        builder(fixed - 1).training_sequence(QUERY, SHOWN)


def test_the_limit_of_label_prompts_holds_for_the_longest_label_with_its_end() -> None:
    whole = builder(None).label_prompt(QUERY, SHOWN)
    longest = len(whole.prompt) + len("yes") + 1
    assert builder(longest).label_prompt(QUERY, SHOWN) == whole
    shorter = builder(longest - 1)
    assert text_of(shorter.label_prompt(QUERY, SHOWN).prompt) == conversation(SHOWN[1:], QUERY.inputs["text"])
    assert shorter.counts.examples_dropped == 1


def test_the_limit_of_generation_leaves_room_for_the_new_tokens() -> None:
    whole = builder(None).generation_prompt(QUERY, SHOWN, max_new_tokens=8)
    assert builder(len(whole) + 8).generation_prompt(QUERY, SHOWN, max_new_tokens=8) == whole
    shorter = builder(len(whole) + 7).generation_prompt(QUERY, SHOWN, max_new_tokens=8)
    assert text_of(shorter) == conversation(SHOWN[1:], QUERY.inputs["text"])


def test_the_longest_column_is_shortened_first() -> None:
    query = Example(0, {"title": "a title", "body": "a body that is much longer"}, label=0)
    columns = {"input_columns": ["title", "body"]}
    whole = len(builder(None, **columns).training_sequence(query, []).ids)
    kept = [(6, "a title", "a body that is much"), (20, "a title", "a body"), (21, "a titl", "a body"), (32, "", "")]
    for missing, title, body in kept:
        text = text_of(builder(whole - missing, **columns).training_sequence(query, []).ids)
        assert f"Title: {title}\nBody: {body}{IM_END}" in text, missing


def test_an_input_of_many_bytes_a_character_is_shortened_by_whole_characters() -> None:
    query = Example(0, {"text": "😀😀😀"}, label=1)
    whole = len(builder(None).training_sequence(query, []).ids)
    for missing, kept in [(1, "😀😀"), (4, "😀😀"), (5, "😀"), (9, ""), (12, "")]:
        text = text_of(builder(whole - missing).training_sequence(query, []).ids)
        assert text == f"{conversation([], kept)}no{IM_END}"


def test_counts_add_up_and_are_warned_about_in_one_sentence() -> None:
    made = builder(lengths(2))
    assert made.counts.warning("training") is None
    for query in (QUERY, Example(1, {"text": "short"}, label=1), Example(2, {"text": "x" * 200}, label=1)):
        made.training_sequence(query, SHOWN)
    assert made.counts.prompts == 3
    assert made.counts.prompts_without_some_examples == 3
    assert made.counts.prompts_with_shortened_input == 1
    warning = made.counts.warning("training")
    assert warning is not None
    dropped = made.counts.examples_dropped
    assert warning.startswith(f"training: of 3 prompts, 3 lost in-context examples ({dropped} in all) and 1 had")


def test_input_columns_are_cut_to_their_maximum_in_examples_too() -> None:
    made = builder(None, max_input_length=7)
    text = text_of(made.training_sequence(QUERY, SHOWN[:1]).ids)
    assert text == conversation([Example(0, {"text": "example"}, label=0)], "the que") + f"no{IM_END}"
    made.label_prompt(QUERY, SHOWN[:1])
    assert made.counts.input_columns_cut == 2, "each text is counted once, however often it is shown"


def test_outputs_of_generation_are_cut_in_training_and_in_examples() -> None:
    shown = Example(1, {"text": "a"}, references=("a long reference", "another"))
    query = Example(2, {"text": "b"}, references=("longer still",))
    made = builder(None, labels=None, max_output_length=6)
    text = text_of(made.training_sequence(query, [shown]).ids)
    assert f"a{IM_END}\n{IM_START}assistant\na long{IM_END}" in text
    assert text.endswith(f"assistant\nlonger{IM_END}")
    assert made.counts.outputs_cut == 2
    # The reference itself is not cut: the default number of new tokens comes from its whole length.
    assert made.answer_length(query) == len("longer still") + 1


def test_a_label_longer_than_the_maximum_is_an_error_that_names_it() -> None:
    assert builder(None, max_output_length=3).label_prompt(QUERY, []).labels[0]
    with pytest.raises(PromptError, match=r"max_output_length is 2, and the label 'yes' has 3 tokens.*never cut"):
        builder(None, max_output_length=2)


def test_a_label_that_is_longer_alone_than_after_its_prompt_is_not_cut() -> None:
    """Alone "yes" is two tokens, after the prompt " yes" is one."""
    tokenizer = byte_tokenizer(merges=[("e", "s"), (" ", "y"), (" y", "es")])
    encoder = TextEncoder(tokenizer)
    config = make_config(prompting={"format": "plain", "max_output_length": 1}).prompting
    labels = label_set("yes", "es")
    assert encoder.count("yes") == 2
    with pytest.raises(PromptError, match="the label 'es' has 2 tokens"):
        PromptBuilder(encoder, choose_format(tokenizer, encoder, config), config, labels, None)
    made = PromptBuilder(encoder, choose_format(tokenizer, encoder, config), config, label_set("yes"), None)
    example = Example(0, {"text": "x"}, label=0)
    assert tokenizer.decode(made.training_sequence(example, [example]).ids).count("Label: yes") == 2

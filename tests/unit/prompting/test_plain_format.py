"""The format for models without a chat template."""

from __future__ import annotations

from typing import Any

import pytest

from sft.data.example import Example
from sft.errors import PromptError
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.plain import default_template
from tests.fakes import END_OF_TEXT, byte_tokenizer, label_set, make_config
from tests.real_tokenizers import encoder_named, tokenizer_named

TOKENIZER = byte_tokenizer()
LABELS = label_set(" terrible", " great")


def builder(
    tokenizer: Any = TOKENIZER, labels: Any = LABELS, encoder: TextEncoder | None = None, **prompting: Any
) -> PromptBuilder:
    config = make_config(prompting={"format": "plain", **prompting}).prompting
    encoder = encoder or TextEncoder(tokenizer)
    return PromptBuilder(encoder, choose_format(tokenizer, encoder, config), config, labels, limit=None)


def parts(made: PromptBuilder, example: Example, shown: list[Example] | None = None) -> tuple[str, str]:
    """The texts of prompt and answer of a training sequence."""
    ids, n_prompt = made.training_sequence(example, shown or [])
    return TOKENIZER.decode(ids[:n_prompt]), TOKENIZER.decode(ids[n_prompt:])


def example(text: str, label: int = 1, row: int = 0) -> Example:
    return Example(row, {"text": text}, label=label)


def test_a_template_is_shown_verbatim_and_the_verbalisation_follows_with_its_space() -> None:
    made = builder(template="Review: {text}\nIt was")
    assert parts(made, example("fine")) == ("Review: fine\nIt was", f" great{END_OF_TEXT}")


def test_instruction_and_examples_come_before_the_query() -> None:
    made = builder(template="Review: {text}\nIt was", instruction="Judge.")
    shown = [example("bad", 0), example("good", 1)]
    expected = (
        "Judge.\n\nReview: bad\nIt was terrible\n\nReview: good\nIt was great\n\nReview: fine\nIt was",
        f" great{END_OF_TEXT}",
    )
    assert parts(made, example("fine"), shown) == expected


def test_the_default_template_shows_columns_as_lines_and_asks_for_the_output() -> None:
    columns = {"input_columns": ["customer_message", "a {b}"], "output_column": "final_label"}
    assert default_template(["customer_message", "a {b}"], "final_label") == (
        "Customer message: {customer_message}\nA {{b}}: {a {b}}\nFinal label: "
    )
    made = builder(labels=label_set("yes", "no"), **{**columns, "input_columns": ["customer_message", "title"]})
    query = Example(0, {"customer_message": "Hi", "title": "T"}, label=0)
    prompt = "Customer message: Hi\nTitle: T\nFinal label:"
    assert parts(made, query, [query]) == (f"{prompt} yes\n\n{prompt}", f" yes{END_OF_TEXT}")


# (template, verbalisation, end of the prompt, answer)
SPACES = [
    ("{text} It was", " great", "x It was", " great"),
    ("{text} It was ", "great", "x It was", " great"),
    ("{text} It was  ", "great", "x It was", "  great"),
    ("{text} It was ", " great", "x It was", " great"),
    ("{text} It was:\n", "great", "x It was:\n", "great"),
    ('{text} It was "', "great", 'x It was "', "great"),
]


@pytest.mark.parametrize(("template", "verbalisation", "prompt", "answer"), SPACES)
def test_spaces_between_template_and_verbalisation_belong_to_the_answer(
    template: str, verbalisation: str, prompt: str, answer: str
) -> None:
    made = builder(labels=label_set("other", verbalisation), template=template)
    assert parts(made, example("x")) == (prompt, f"{answer}{END_OF_TEXT}")
    label_prompt = made.label_prompt(example("x"), [])
    assert TOKENIZER.decode(label_prompt.prompt) == prompt
    assert TOKENIZER.decode(label_prompt.labels[1]) == answer


@pytest.mark.parametrize("text", ["{text}", "{0} {} {{x}}", "a\n\nb", "", "100%", "\\{", "{text.__class__}"])
def test_braces_and_line_ends_in_data_are_data(text: str) -> None:
    made = builder(template="{{{text}}} It was")
    assert parts(made, example(text), [example(text, 0)])[0] == f"{{{text}}} It was terrible\n\n{{{text}}} It was"


def test_columns_may_be_shown_in_any_order_and_twice() -> None:
    made = builder(input_columns=["a", "b"], template="{b} and {a} and {b}:")
    query = Example(0, {"a": "A", "b": "B"}, label=0)
    assert parts(made, query) == ("B and A and B:", f" terrible{END_OF_TEXT}")


def test_special_strings_in_the_template_are_special_and_in_data_or_instruction_are_not() -> None:
    end = TOKENIZER.convert_tokens_to_ids(END_OF_TEXT)
    made = builder(template=f"{{text}}{END_OF_TEXT}It was", instruction=f"No {END_OF_TEXT}!")
    ids, n_prompt = made.training_sequence(example(END_OF_TEXT), [example(END_OF_TEXT, 0)])
    assert ids[:n_prompt].count(end) == 2
    assert TOKENIZER.decode(ids).count(END_OF_TEXT) == 6


def test_an_empty_reference_is_the_end_of_the_answer_alone() -> None:
    query = Example(0, {"text": "x"}, references=("",))
    assert parts(builder(labels=None, template="{text}\nA:"), query) == ("x\nA:", END_OF_TEXT)


@pytest.mark.usefixtures("assets")
def test_a_tokenizer_that_adds_a_beginning_gets_one_in_every_plain_prompt() -> None:
    for name, begins in [("llama3.1-instruct", True), ("mistral-instruct-v0.3", True), ("gpt2", False)]:
        tokenizer = tokenizer_named(name)
        made = builder(tokenizer, encoder=encoder_named(name), template="Review: {text}\nIt was")
        bos = tokenizer.bos_token_id
        prompts = [
            made.training_sequence(example("fine"), [example("x", 0)]).ids,
            made.label_prompt(example("fine"), []).prompt,
            made.generation_prompt(example("fine"), [], max_new_tokens=3),
        ]
        for ids in prompts:
            assert (ids[0] == bos) is begins, name
            assert bos not in ids[1:-1], name


def test_a_tokenizer_without_an_end_is_refused() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(PromptError, match="has no EOS token, which ends answers in the plain format"):
        builder(tokenizer)

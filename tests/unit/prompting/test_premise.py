"""A text as the whole prompt: no instruction, no columns, and the labels after it as after any prompt."""

from __future__ import annotations

from typing import Any

import pytest

from sft.data.example import Example
from sft.errors import PromptError
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from tests.fakes import END_OF_TEXT, IM_END, IM_START, byte_tokenizer, label_set, make_config
from tests.real_tokenizers import WITH_TEMPLATE, encoder_named, tokenizer_named

PLAIN, CHAT = byte_tokenizer(), byte_tokenizer(chat=True)
LABELS = label_set(" terrible", " great")
ROW = Example(0, {})


def builder(tokenizer: Any, *, limit: int | None = None, labels: Any = LABELS, **prompting: Any) -> PromptBuilder:
    config = make_config(prompting={"instruction": "Judge.", **prompting}).prompting
    encoder = TextEncoder(tokenizer)
    return PromptBuilder(encoder, choose_format(tokenizer, encoder, config), config, labels, limit)


def texts(made: PromptBuilder, premise: str) -> tuple[str, list[str]]:
    """The texts of the prompt and of its labels."""
    prompt, labels, _ = made.premise_prompt(premise, ROW)
    return PLAIN.decode(prompt), [PLAIN.decode(ids) for ids in labels]


def test_in_the_plain_format_it_stands_alone_and_verbatim() -> None:
    made = builder(PLAIN, template="Review: {text}\nIt was", format="plain")
    assert texts(made, "Reviews are {mostly}:\nIt was") == ("Reviews are {mostly}:\nIt was", [" terrible", " great"])


def test_the_labels_follow_with_the_space_that_they_follow_every_prompt_with() -> None:
    made = builder(PLAIN, labels=label_set("no", "yes"))
    assert texts(made, "Answer:") == ("Answer:", [" no", " yes"])


def test_in_the_chat_format_it_is_the_only_user_turn() -> None:
    made = builder(CHAT)
    expected = f"{IM_START}user\nIt was{IM_END}\n{IM_START}assistant\n"
    assert texts(made, "It was") == (expected, ["terrible", "great"])
    with_instruction = CHAT.decode(made.label_prompt(Example(0, {"text": "It was"}), []).prompt)
    assert with_instruction == f"{IM_START}system\nJudge.{IM_END}\n{expected}"


@pytest.mark.parametrize("tokenizer", [PLAIN, CHAT], ids=["plain", "chat"])
def test_special_strings_in_it_are_plain_text(tokenizer: Any) -> None:
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    made = builder(tokenizer)
    assert end not in made.premise_prompt(f"a{END_OF_TEXT}b", ROW).prompt
    assert END_OF_TEXT in texts(made, f"a{END_OF_TEXT}b")[0]


def test_one_that_is_too_long_is_refused_naming_the_key() -> None:
    made = builder(PLAIN, limit=20)
    made.premise_prompt("ten bytes.", ROW)
    with pytest.raises(PromptError, match=r"inference\.pmi_premise needs 21 tokens .* the limit is 20"):
        made.premise_prompt("ten bytes..", ROW)


@pytest.mark.usefixtures("assets")
def test_a_tokenizer_that_adds_a_beginning_gets_one() -> None:
    tokenizer = tokenizer_named("llama3.1-instruct")
    config = make_config(prompting={"format": "plain"}).prompting
    encoder = encoder_named("llama3.1-instruct")
    made = PromptBuilder(encoder, choose_format(tokenizer, encoder, config), config, LABELS, limit=None)
    ids = made.premise_prompt("It was", ROW).prompt
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids[1:]) == "It was"


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_chat_templates_of_real_models_show_it_without_the_instruction(name: str) -> None:
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    config = make_config(prompting={"instruction": "Judge."}).prompting
    made = PromptBuilder(encoder, choose_format(tokenizer, encoder, config), config, label_set("no", "yes"), limit=None)
    rendered = tokenizer.decode(made.premise_prompt("It was so", ROW).prompt)
    assert rendered.count("It was so") == 1
    assert "Judge." not in rendered
    whole = tokenizer.decode(made.label_prompt(Example(0, {"text": "It was so"}), []).prompt)
    tail = whole[whole.index("It was so") :]
    assert rendered.endswith(tail)

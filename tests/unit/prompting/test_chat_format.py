"""The chat format where templates are unusual, and which format a run uses."""

from __future__ import annotations

from typing import Any

import pytest

from sft.errors import PromptError
from sft.prompting.chat import ChatFormat
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import Demonstration
from tests.fakes import CHATML, END_OF_TEXT, IM_END, IM_START, byte_tokenizer, make_config

ALTERNATING = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('must alternate') }}{% endif %}<{{ m['role'] }}>{{ m['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
DROPS_SYSTEM = CHATML.replace(
    "{% for message in messages %}", "{% for message in messages if message.role != 'system' %}"
)


def chat(template: str, instruction: str = "", **template_args: Any) -> ChatFormat:
    tokenizer = byte_tokenizer(chat=True)
    tokenizer.chat_template = template
    return ChatFormat(tokenizer, TextEncoder(tokenizer), instruction, template_args)


def text_of(made: ChatFormat, demonstrations: list[Demonstration], query: dict[str, str]) -> str:
    return "".join(piece.text for piece in made.prompt(demonstrations, query))


SHOWN = [Demonstration({"text": "one"}, "A")]
QUERY = {"text": "two"}


def test_the_instruction_is_the_system_message_where_there_is_that_role() -> None:
    assert text_of(chat(CHATML, "Decide."), SHOWN, QUERY) == (
        f"{IM_START}system\nDecide.{IM_END}\n{IM_START}user\none{IM_END}\n{IM_START}assistant\nA{IM_END}\n"
        f"{IM_START}user\ntwo{IM_END}\n{IM_START}assistant\n"
    )


@pytest.mark.parametrize("template", [ALTERNATING, DROPS_SYSTEM], ids=["refuses", "drops"])
def test_elsewhere_the_instruction_opens_the_first_user_turn(template: str) -> None:
    text = text_of(chat(template, "Decide."), SHOWN, QUERY)
    assert text.count("Decide.") == 1
    assert "Decide.\n\none" in text
    assert text_of(chat(template, "Decide."), [], QUERY).count("Decide.\n\ntwo") == 1


def test_no_instruction_is_no_system_message() -> None:
    assert text_of(chat(CHATML), [], QUERY) == f"{IM_START}user\ntwo{IM_END}\n{IM_START}assistant\n"


def test_several_columns_are_shown_as_titled_lines_and_one_alone() -> None:
    query = {"premise": "A man.", "the_hypothesis": "A boy."}
    text = text_of(chat(CHATML), [Demonstration(query, "no")], query)
    assert text.count(f"{IM_START}user\nPremise: A man.\nThe hypothesis: A boy.{IM_END}") == 2


def test_an_answer_in_an_example_is_written_as_it_is_written_after_the_prompt() -> None:
    made = chat(CHATML)
    assert made.answer(" A ") == "A"
    assert f"assistant\nA{IM_END}" in text_of(made, [Demonstration({"text": "one"}, " A ")], QUERY)


def test_white_space_that_the_template_puts_before_an_answer_belongs_to_the_answer() -> None:
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"  # noqa: E501
    made = chat(template)
    assert made.answer("A") == " A"
    assert text_of(made, [], QUERY).endswith("[assistant]")


def test_what_only_a_generation_prompt_opens_is_left_out() -> None:
    template = CHATML.replace(
        "{% if add_generation_prompt %}<|im_start|>assistant\n",
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n",
    )
    assert text_of(chat(template), [], QUERY).endswith(f"{IM_START}assistant\n")


def test_the_end_of_turn_is_what_the_template_puts_after_an_answer_else_the_eos() -> None:
    tokenizer = byte_tokenizer(chat=True)
    assert chat(CHATML).eot_id == tokenizer.convert_tokens_to_ids(IM_END)
    bare = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"  # noqa: E501
    assert chat(bare).eot_id == tokenizer.eos_token_id
    other = CHATML.replace("<|im_end|>", END_OF_TEXT)
    assert chat(other).eot_id == tokenizer.convert_tokens_to_ids(END_OF_TEXT)


def test_template_arguments_reach_the_template() -> None:
    template = "{{ date_string }}|" + CHATML
    assert text_of(chat(template, date_string="1 Jan 2000"), [], QUERY).startswith("1 Jan 2000|")


def test_a_template_that_reads_the_clock_gives_the_same_prompt_every_day() -> None:
    template = "\n{% if strftime_now is defined %}{% set d = strftime_now('%d %b %Y, %H:%M %A') %}{% endif %}{{ d }}|"
    assert text_of(chat(template + CHATML), [], QUERY).startswith("\n26 Jul 2024, 00:00 Friday|")


# (template, what the message says)
UNUSABLE = [
    (CHATML.replace("{{ message['content'] }}", "{{ message['content'][:2] }}"), "doesn't show the assistant's answer"),
    (CHATML.replace("{{ message['content'] }}", "{{ message['content'] * 2 }}"), "drops, repeats or reorders messages"),
    ("{{ messages[-1].content }}", "doesn't show the assistant's answer"),
    (
        "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
        "{% for m in messages if m.role == 'assistant' %}{{ m.content }}{% endfor %}",
        "drops, repeats or reorders messages",
    ),
    ("{{ messages + 1 }}", "the chat template refuses the messages of this task: can only concatenate list"),
    ("{{ raise_exception('never') }}", "the chat template refuses the messages of this task: never"),
    (
        "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
        "doesn't show the assistant's answer",
    ),
]


@pytest.mark.parametrize(("template", "message"), UNUSABLE, ids=[message for _, message in UNUSABLE])
def test_a_template_that_no_prompt_can_be_built_from_is_refused(template: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        chat(template).prompt(SHOWN, QUERY)


# (tokenizer has a template, prompting.format, the format that is used)
CHOICES = [
    (True, "auto", "chat"),
    (False, "auto", "plain"),
    (True, "plain", "plain"),
    (False, "plain", "plain"),
    (True, "chat", "chat"),
]


@pytest.mark.parametrize(("has_template", "asked", "used"), CHOICES)
def test_auto_is_chat_where_the_tokenizer_has_a_template(has_template: bool, asked: str, used: str) -> None:
    tokenizer = byte_tokenizer(chat=has_template)
    config = make_config(prompting={"format": asked}).prompting
    assert choose_format(tokenizer, TextEncoder(tokenizer), config).name == used


def test_chat_without_a_template_is_refused() -> None:
    tokenizer = byte_tokenizer()
    with pytest.raises(PromptError, match=r"has no chat template\n  fix: set model\.chat_template_from"):
        choose_format(tokenizer, TextEncoder(tokenizer), make_config(prompting={"format": "chat"}).prompting)

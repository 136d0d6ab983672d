"""Questions about all labels of a row as one prompt: the same tokens as each on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sft.common_start import common_start
from sft.config.schema import LabelQuestionConfig, PromptingConfig
from sft.data.example import Example, LabelSet
from sft.data.questions import Questions
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.format import PromptFormat
from sft.prompting.plain import question_template
from sft.prompting.question_in_answer import QuestionInAnswer
from tests.fakes import byte_tokenizer

LABELS = ("joy", "joyful mood", "anger", "<|im_end|>")
TEXT = "I  love\nit <|im_start|> naïve 😀"
# Merges across the places where the text meets the label, the label its end, and the question its answer.
MERGES = [(" ", "j"), (" j", "o"), ("y", "?"), ("?", " "), ("? ", "y"), ("e", "\n"), (":", " ")]
TEMPLATES = {
    "the default": None,
    "the label on a line": "{text}\n{emotion}:",
    "the label first": "{emotion}|{text}?",
    "the label in the answer": "Text: {text}\nLabels: ",
}


def setup(
    *,
    chat: bool = False,
    template: str | None = None,
    limit: int | None = None,
    merges: Sequence[Any] = MERGES,
    in_answer: bool = False,
    **more: Any,
) -> tuple[Questions, PromptBuilder]:
    tokenizer = byte_tokenizer(chat=chat, merges=merges)
    encoder = TextEncoder(tokenizer)
    questions = Questions(LabelSet(LABELS, LABELS, exclusive=False), LabelQuestionConfig(name="emotion"))
    template = template or question_template(["text"], "labels", "emotion")
    config = PromptingConfig(
        input_columns=["text", "emotion"], output_column="labels", template=template, instruction="Say.", **more
    )
    layout: PromptFormat = choose_format(tokenizer, encoder, config)
    if in_answer:
        layout = QuestionInAnswer(layout, "emotion")
    return questions, PromptBuilder(encoder, layout, config, questions.answers, limit, ("emotion",))


def row(text: str = TEXT, number: int = 0) -> Example:
    return Example(number, {"text": text}, labels=(0, 2))


@pytest.mark.parametrize("merges", [[], MERGES], ids=["bytes", "merges"])
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
@pytest.mark.parametrize("shown", [0, 2])
def test_tokens_are_those_of_each_question_on_its_own(shown: int, chat: bool, template: str, merges: Any) -> None:
    in_answer = "in the answer" in template
    questions, builder = setup(chat=chat, template=TEMPLATES[template], merges=merges, in_answer=in_answer)
    examples = questions.shown([row(f"other {i}", i) for i in range(1, shown + 1)], seed=1)
    together = builder.questions(questions.of(row()), examples)
    assert len(together.labels) == len(together.given) == 2 * len(LABELS)
    for i, question in enumerate(questions.of(row())):
        alone = builder.label_prompt(question, examples)
        for answer in (0, 1):
            ids, given = together.labels[2 * i + answer], together.given[2 * i + answer]
            assert [*together.prompt, *ids] == [*alone.prompt, *alone.labels[answer]]
            assert len(ids) - given == len(alone.labels[answer]) - common_start(*alone.labels)


def test_a_prompt_is_shared_up_to_the_label() -> None:
    questions, builder = setup(merges=[])
    together = builder.questions(questions.of(row("a text")), [])
    assert byte_tokenizer().decode(together.prompt) == "Say.\n\nText: a text\nLabels: "
    rests = [byte_tokenizer().decode(ids) for ids in together.labels[:4]]
    assert rests == ["joy? no", "joy? yes", "joyful mood? no", "joyful mood? yes"]


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_in_the_answer_a_label_comes_after_all_that_a_row_has_once(chat: bool) -> None:
    template = "Text: {text}\nLabels: "
    questions, builder = setup(merges=[], chat=chat, template=template, in_answer=True)
    (shown,) = questions.shown([row("seen", 4)], seed=1)
    together = builder.questions(questions.of(row("asked")), [shown])
    label, decode = shown.inputs["emotion"], byte_tokenizer(chat=chat).decode
    if chat:
        turns = ["system\nSay.", "user\nseen", f"assistant\n{label}: yes", "user\nasked"]
        before = "".join(f"<|im_start|>{turn}<|im_end|>\n" for turn in turns) + "<|im_start|>assistant\n"
    else:
        before = f"Say.\n\nText: seen\nLabels: {label}: yes\n\nText: asked\nLabels: "
    assert decode(together.prompt) == before
    assert [decode(ids) for ids in together.labels[2:4]] == ["joyful mood: no", "joyful mood: yes"]
    trained = builder.training_sequence(questions.about(row("asked"), 1), [shown])
    assert decode(trained.ids[: trained.n_prompt]) == f"{before}joyful mood:"
    assert decode(trained.ids[trained.n_prompt :]).startswith(" no<|")


def test_what_cuts_the_text_leaves_the_label_whole_and_cuts_alike_for_all_labels() -> None:
    questions, builder = setup(merges=[], max_input_length=4)
    together = builder.questions(questions.of(row("a long text")), [])
    assert byte_tokenizer().decode(together.prompt).endswith("Text: a lo\nLabels: ")
    assert byte_tokenizer().decode(together.labels[3]) == "joyful mood? yes"
    assert builder.counts.input_columns_cut == 1

    questions, builder = setup(merges=[], limit=46)
    together = builder.questions(questions.of(row("a long text")), [])
    longest = len(together.prompt) + max(map(len, together.labels)) + 1
    assert longest == 46
    text = byte_tokenizer().decode(together.prompt).split("Text: ")[1].partition("\n")[0]
    assert text
    assert text != "a long text"
    assert "a long text".startswith(text)
    assert builder.counts.prompts_with_shortened_input == 1

    trained = builder.training_sequence(questions.about(row("a long text"), 1), [])
    assert "joyful mood?" in byte_tokenizer().decode(trained.ids)
    assert len(trained.ids) <= 46


def test_an_example_shows_its_label_and_answer() -> None:
    questions, builder = setup(merges=[])
    (shown,) = questions.shown([row("seen", 4)], seed=1)
    together = builder.questions(questions.of(row("asked")), [shown])
    label = shown.inputs["emotion"]
    assert byte_tokenizer().decode(together.prompt) == (
        f"Say.\n\nText: seen\nLabels: {label}? yes\n\nText: asked\nLabels: "
    )

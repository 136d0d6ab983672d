"""What holds of prompts with every real tokenizer and every real chat template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sft.data.example import Example
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.format import PromptFormat
from sft.prompting.labelled import IGNORED
from sft.training.sequences import loss_labels
from tests.fakes import label_set, make_config
from tests.real_tokenizers import (
    ALL,
    NO_ASSETS,
    TEMPLATES,
    TOKENIZERS,
    WITH_TEMPLATE,
    encoder_named,
    surface,
    tokenizer_named,
)

pytestmark = pytest.mark.usefixtures("assets")

LABELS = label_set("positive", "very negative", "neither نعم")
INSTRUCTION = "Classify the message."
SHOWN = [Example(0, {"text": "Lovely!"}, label=0), Example(1, {"text": "Déjà vu, 不好 😡"}, label=1)]
QUERY = Example(2, {"text": "It is\n  fine – I guess?"}, label=2)
# Templates that refuse a system message, from reading them.
NO_SYSTEM_ROLE = {"gemma.jinja"}
# What a template writes to open an answer that a finished answer doesn't hold, from reading them.
OPENED_ONLY = {"deepseekv3.jinja": "<think>\n"}
THINKING = [name for name in WITH_TEMPLATE if name.startswith("qwen3")] or [NO_ASSETS]


class Prompts(NamedTuple):
    tokenizer: Any
    format: PromptFormat
    builder: PromptBuilder


def prompts(name: str, **prompting: Any) -> Prompts:
    tokenizer = tokenizer_named(name)
    encoder = encoder_named(name)
    config = make_config(prompting={"instruction": INSTRUCTION, **prompting}).prompting
    chosen = choose_format(tokenizer, encoder, config)
    return Prompts(tokenizer, chosen, PromptBuilder(encoder, chosen, config, LABELS, limit=None))


def messages(name: str, instruction: str = INSTRUCTION) -> list[dict[str, str]]:
    """The conversation that the issue describes, written down by hand."""
    users = [*(example.inputs["text"] for example in SHOWN), QUERY.inputs["text"]]
    answers = [LABELS.verbalisations[example.label] for example in SHOWN if example.label is not None]
    found = []
    if name not in NO_SYSTEM_ROLE and instruction:
        found.append({"role": "system", "content": instruction})
    elif instruction:
        users[0] = f"{instruction}\n\n{users[0]}"
    for user, answer in zip(users, [*answers, None], strict=True):
        found.append({"role": "user", "content": user})
        if answer is not None:
            found.append({"role": "assistant", "content": answer})
    return found


def template_args(thinking: bool = False) -> Mapping[str, Any]:
    return {"enable_thinking": thinking, "date_string": "26 Jul 2024"}


def test_the_promised_tokenizers_and_templates_are_there() -> None:
    assert len(TOKENIZERS) >= 7
    assert len(TEMPLATES) >= 9
    assert len(THINKING) == 2


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shown", [[], SHOWN], ids=["zero-shot", "with examples"])
def test_the_loss_covers_the_answer_and_its_end_of_turn_exactly(name: str, shown: list[Example]) -> None:
    tokenizer, chosen, builder = prompts(name)
    sequence = builder.training_sequence(QUERY, shown)
    labels = loss_labels(sequence)
    assert len(labels) == len(sequence.ids)
    in_loss = [token for token in labels if token != IGNORED]
    assert labels == [IGNORED] * (len(labels) - len(in_loss)) + in_loss
    text = surface(tokenizer, in_loss)
    end = surface(tokenizer, [chosen.eot_id])
    # Spaces before an answer are part of it where the tokenizer writes them as part of the word (twice in Mistral's).
    assert text.lstrip(" ") == LABELS.verbalisations[2] + end
    assert in_loss.count(chosen.eot_id) == 1


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shown", [[], SHOWN], ids=["zero-shot", "with examples"])
def test_training_and_inference_see_the_same_prompt_and_the_same_answers(name: str, shown: list[Example]) -> None:
    _, chosen, builder = prompts(name)
    generation = builder.generation_prompt(QUERY, shown, max_new_tokens=8)
    scored = builder.label_prompt(QUERY, shown)
    assert scored.prompt == generation
    for label in range(len(LABELS)):
        sequence = builder.training_sequence(Example(2, QUERY.inputs, label=label), shown)
        assert sequence.ids[: sequence.n_prompt] == generation
        assert sequence.ids[sequence.n_prompt :] == [*scored.labels[label], chosen.eot_id]


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("name", THINKING)
def test_thinking_templates_render_alike_in_training_and_inference(name: str, thinking: bool) -> None:
    tokenizer, _, builder = prompts(name, template_args=template_args(thinking))
    generation = builder.generation_prompt(QUERY, SHOWN, max_new_tokens=8)
    sequence = builder.training_sequence(QUERY, SHOWN)
    assert sequence.ids[: sequence.n_prompt] == generation == builder.label_prompt(QUERY, SHOWN).prompt
    empty_thoughts = "<think>\n\n</think>\n\n"
    assert tokenizer.decode(generation).endswith(empty_thoughts) is not thinking


@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_the_prompt_is_what_the_template_makes_of_the_conversation(name: str) -> None:
    """Same ids as the tokenizer gives the whole rendered text: nothing is tokenised apart, no BOS is doubled.

    The text goes on with an answer, because gpt2 writes "\\n\\n" as other tokens at the end than before a word.
    """
    tokenizer, _, builder = prompts(name)
    rendered = tokenizer.apply_chat_template(
        messages(name), tokenize=False, add_generation_prompt=True, **template_args()
    )
    rendered = rendered.removesuffix(OPENED_ONLY.get(name, "")) + "positive"
    expected = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    prompt = builder.generation_prompt(QUERY, SHOWN, max_new_tokens=8)
    assert prompt == expected[: len(prompt)]
    assert surface(tokenizer, expected[len(prompt) :]).lstrip(" ") == "positive"


@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_the_whole_sequence_is_what_the_template_makes_of_a_finished_conversation(name: str) -> None:
    """Up to the end of turn; thinking templates write empty thoughts there, as the generation prompt does.

    Without instruction, because Mistral's template shows a system message only while an answer is awaited.
    """
    tokenizer, chosen, builder = prompts(name, instruction="")
    finished = [*messages(name, instruction=""), {"role": "assistant", "content": LABELS.verbalisations[2]}]
    rendered = tokenizer.apply_chat_template(finished, tokenize=False, **template_args())
    ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    sequence = builder.training_sequence(QUERY, SHOWN)
    assert sequence.ids == ids[: len(sequence.ids)]
    assert sequence.ids[-1] == chosen.eot_id


@pytest.mark.parametrize("name", ALL)
def test_a_beginning_of_text_is_never_doubled(name: str) -> None:
    for format_name in ("plain", "auto"):
        tokenizer, chosen, builder = prompts(name, format=format_name)
        ids, n_prompt = builder.training_sequence(QUERY, SHOWN)
        own = tokenizer("It was", add_special_tokens=True)["input_ids"]
        bare = tokenizer("It was", add_special_tokens=False)["input_ids"]
        assert ids[0] != ids[1]
        if chosen.name == "plain":
            assert chosen.prefix_ids == own[: len(own) - len(bare)]
        # ChatML writes its BOS at every turn; elsewhere it stands at the start or nowhere.
        if tokenizer.bos_token not in (None, "<|im_start|>"):
            assert tokenizer.bos_token_id not in ids[1:n_prompt]


@pytest.mark.parametrize("name", ALL)
def test_the_plain_format_is_tokenised_as_the_tokenizer_does_by_itself(name: str) -> None:
    tokenizer, _, builder = prompts(name, format="plain", template="Message: {text}\nIt was")
    text = (
        f"{INSTRUCTION}\n\nMessage: Lovely!\nIt waspositive\n\nMessage: Déjà vu, 不好 😡\nIt wasvery negative\n\n"
        f"Message: {QUERY.inputs['text']}\nIt was"
    )
    assert builder.generation_prompt(QUERY, SHOWN, max_new_tokens=8) == tokenizer(text)["input_ids"]


def test_without_assets_these_tests_are_skipped_rather_than_empty(assets: Path) -> None:
    assert NO_ASSETS not in ALL
    assert (assets / "tokenizers").is_dir()

"""Rows as texts that the harness makes the same tokens of, and rows that can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft.config.schema import PromptingConfig
from sft.data.example import Example
from sft.lm_eval.encoding import HarnessEncoding
from sft.lm_eval.rows import AskedRow, ExportedRow, exported
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from tests.fakes import IM_END, byte_tokenizer, label_set
from tests.real_tokenizers import TOKENIZERS, encoder_named, tokenizer_named

# Those that add a BOS of their own accord: two whose template writes it too, and one whose template doesn't.
BEGIN_WITH_BOS = {"llama3.1-instruct": None, "mistral-instruct-v0.3": None, "phi3-mini-instruct": False}


def made(tokenizer: Any, template: str, *labels: str, text: str = "fine", end: int | None = None) -> ExportedRow | None:
    prompting = PromptingConfig(input_columns=["text"], output_column="label", format="plain", template=template)
    encoder, names = TextEncoder(tokenizer), label_set(*labels)
    builder = PromptBuilder(encoder, choose_format(tokenizer, encoder, prompting), prompting, names, None)
    written = builder.written(Example(3, {"text": text}, label=1), [])
    end_text = "" if end is None else tokenizer.decode([end])
    return exported(AskedRow(3, names.verbalisations, 1, written, end), end_text, HarnessEncoding(tokenizer))


def test_a_row_is_its_prompt_and_its_labels_to_the_letter() -> None:
    row = made(byte_tokenizer(), "Text: {text}\nIt is ", "good", "bad")
    assert row == ExportedRow(3, "Text: fine\nIt is", [" good", " bad"], 1, 0)


def test_the_end_of_the_turn_is_part_of_every_choice() -> None:
    tokenizer = byte_tokenizer()
    end = tokenizer.convert_tokens_to_ids(IM_END)
    row = made(tokenizer, "{text} is ", "good", "bad", end=end)
    assert row is not None
    assert row.choices == [f" good{IM_END}", f" bad{IM_END}"]


def test_white_space_at_the_end_is_scored_with_every_choice() -> None:
    row = made(byte_tokenizer(), "{text} is\n", "good", "bad")
    assert row is not None
    assert (row.context, row.choices, row.extra_tokens) == ("fine is\n", ["good", "bad"], 1)


def test_the_context_ends_earlier_where_its_last_word_would_be_other_tokens_alone() -> None:
    # With "good" the "(" is no token of its own, but alone it is; and so for a merge across the boundary.
    tokenizer = byte_tokenizer(merges=[("(", "g"), ("(", "b")])
    row = made(tokenizer, "{text} is (", "good", "bad")
    assert row is not None
    assert (row.context, row.choices) == ("fine is", [" (good", " (bad"])
    assert row.extra_tokens == 1  # the space


def test_a_special_token_in_the_data_can_not_be_expressed() -> None:
    assert made(byte_tokenizer(), "{text} is ", "good", "bad", text=f"fine {IM_END}") is None


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name in BEGIN_WITH_BOS])
def test_chats_of_real_tokenizers_are_expressed_with_the_right_beginning(name: str, assets: Path) -> None:
    tokenizer, encoder, names = tokenizer_named(name), encoder_named(name), label_set("good", "very good")
    example = Example(0, {"text": "😀 نعم"}, label=0)
    prompting = PromptingConfig(input_columns=["text"], output_column="label", instruction="Judge.")
    layout = choose_format(tokenizer, encoder, prompting)
    written = PromptBuilder(encoder, layout, prompting, names, None).written(example, [])
    row = AskedRow(0, names.verbalisations, 0, written, layout.eot_id)
    ways = (None, False, True)
    made = {way: exported(row, tokenizer.decode([layout.eot_id]), HarnessEncoding(tokenizer, way)) for way in ways}
    assert next(way for way in ways if made[way] is not None) is BEGIN_WITH_BOS[name]

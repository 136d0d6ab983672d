from __future__ import annotations

from sft.pipeline.example_prompt import MOST_TOKENS, example_prompt
from tests.fakes import byte_tokenizer


def test_a_short_sequence_is_whole() -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer("in out")["input_ids"]
    example = example_prompt(ids, tokenizer, [False] * 3 + [True] * 3)
    assert example == {
        "tokens": 6,
        "pieces": [
            {"text": "in ", "special": False, "in_loss": False},
            {"text": "out", "special": False, "in_loss": True},
        ],
    }


def test_the_middle_of_a_long_one_is_left_out_and_counted() -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer("a" * MOST_TOKENS + "b" * 7)["input_ids"]
    example = example_prompt(ids, tokenizer)
    start, gap, end = example["pieces"]
    assert example["tokens"] == MOST_TOKENS + 7
    assert gap == {"left_out": 7}
    assert start["text"] == "a" * (MOST_TOKENS // 2)
    assert end["text"] == "a" * (MOST_TOKENS // 2 - 7) + "b" * 7

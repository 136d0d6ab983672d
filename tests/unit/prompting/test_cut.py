"""Cutting a text to a number of tokens."""

from __future__ import annotations

import unicodedata

import pytest

from sft.prompting.encoder import TextEncoder
from tests.fakes import byte_tokenizer
from tests.real_tokenizers import TOKENIZERS, encoder_named, tokenizer_named

MAN, JOINER, COMPUTER, DARK = "\U0001f468", "\u200d", "\U0001f4bb", "\U0001f3ff"
FAMILY = f"{MAN}{JOINER}{COMPUTER}"
BEH, FATHA, TEH, ACUTE = "\u0628", "\u064e", "\u062a", "\u0301"

# (text, tokens allowed where a token is a byte of UTF-8, what is kept)
BYTES: list[tuple[str, int, str]] = [
    ("hello", 3, "hel"),
    ("hello", 5, "hello"),
    ("hello", 9, "hello"),
    ("hello", 0, ""),
    ("", 3, ""),
    ("hé!", 2, "h"),
    ("hé!", 3, "hé"),
    ("😀!", 3, ""),
    ("😀!", 4, "😀"),
    ("天地", 5, "天"),
    (f"e{ACUTE}x", 1, ""),
    (f"e{ACUTE}x", 2, ""),
    (f"e{ACUTE}x", 3, f"e{ACUTE}"),
    (f"{TEH}{BEH}{FATHA}{TEH}", 4, TEH),
    (f"{TEH}{BEH}{FATHA}{TEH}", 5, TEH),
    (f"{TEH}{BEH}{FATHA}{TEH}", 6, f"{TEH}{BEH}{FATHA}"),
    (f"a{FAMILY}b", 5, "a"),
    (f"a{FAMILY}b", 8, "a"),
    (f"a{FAMILY}b", 11, "a"),
    (f"a{FAMILY}b", 12, f"a{FAMILY}"),
    (f"a{MAN}{DARK}b", 5, "a"),
    ("ab   cd", 4, "ab"),
    ("ab \n cd", 5, "ab"),
    ("ab  ", 4, "ab  "),
    ("<|im_end|>x", 10, "<|im_end|>"),
]


@pytest.mark.parametrize(("text", "maximum", "kept"), BYTES)
def test_a_cut_keeps_whole_characters(text: str, maximum: int, kept: str) -> None:
    assert TextEncoder(byte_tokenizer()).cut(text, maximum) == kept


def test_a_token_that_holds_several_characters_is_kept_whole_or_not_at_all() -> None:
    encoder = TextEncoder(byte_tokenizer(merges=[("a", "b"), ("ab", "c")]))
    assert [encoder.cut("xabcd", n) for n in range(4)] == ["", "x", "xabc", "xabcd"]


LONG = (
    "The quick brown fox, 12345 times.\n\nمَرْحَبًا بِالعَالَم! 天地玄黄。नमस्ते दुनिया 👩‍👩‍👧‍👦 naïve e\u0301té "
    "def f(x):\n    return {x: x**2}  # ...   สวัสดี"
)


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", TOKENIZERS)
def test_real_tokenizers_cut_to_at_most_the_number_asked_for_and_use_it(name: str) -> None:
    encoder, tokenizer = encoder_named(name), tokenizer_named(name)
    total = encoder.count(LONG)
    kept = [encoder.cut(LONG, n) for n in range(total + 2)]
    assert kept[0] == ""
    assert kept[total] == kept[total + 1] == LONG
    for n, text in enumerate(kept):
        assert LONG.startswith(text)
        assert encoder.count(text) <= n
        assert "\ufffd" not in text
        rest = LONG[len(text) :]
        assert not rest or unicodedata.combining(rest[0]) == 0
        # What is lost beside whole tokens is one character with its marks and white space.
        lost = tokenizer.decode(tokenizer(LONG, add_special_tokens=False)["input_ids"][:n]).strip("\ufffd")
        assert len(lost) - len(text) <= 8, (n, lost, text)
    assert [len(text) for text in kept] == sorted(len(text) for text in kept)

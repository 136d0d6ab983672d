"""Text → ids: the tokenizer's own, except that data can't hold special tokens."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import AddedToken

from sft.errors import ModelError
from sft.prompting.chat import ChatFormat
from sft.prompting.encoder import Piece, TextEncoder
from sft.prompting.format import Demonstration
from tests.fakes import END_OF_TEXT, IM_END, IM_START, byte_tokenizer
from tests.real_tokenizers import ALL, WITH_TEMPLATE, encoder_named, tokenizer_named

TEXTS = [
    "A plain sentence, with punctuation!",
    "  leading,   inner and trailing spaces  ",
    "tabs\tand\nnew\n\n\nlines\r\n",
    "déjà vu, naïve, Straße, İstanbul",
    "مَرْحَبًا بِالعَالَم، كيف الحال؟",
    "天地玄黄 宇宙洪荒。ありがとう 한국어",
    "नमस्ते दुनिया, สวัสดีชาวโลก",
    "😀 👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301",
    "def f(x):\n    return {k: v for k, v in x.items()}  # 0x1F",
    "12345678901234567890 3.14159 1e-10",
    "<b>bold</b> [INST?] {{braces}} a|b < c > d <|",
    "\u200b\u202eodd\u00a0spaces\u2028\ufeff",
    "a",
    " ",
    "",
]


def special_strings(tokenizer: Any) -> dict[str, int]:
    """Special tokens, and markup that a vocabulary holds as one token though it isn't declared special."""
    added = {str(token): number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | {t: n for t, n in tokenizer.get_added_vocab().items() if t in ("<think>", "</think>")}


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", ALL)
def test_ordinary_text_is_tokenised_as_the_tokenizer_does_by_itself(name: str) -> None:
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    for text in TEXTS:
        expected = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert encoder.encode([Piece(text, is_data=True)]) == expected, text
        assert encoder.encode([Piece(text, is_data=False)]) == expected, text
        assert encoder.count(text) == len(expected)


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", ALL)
def test_pieces_are_tokenised_as_one_text(name: str) -> None:
    """Cutting a text into pieces changes no token, wherever the cuts are."""
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    text = "Message: désolé, 天地 <ok>\nIt was great"
    expected = tokenizer(text, add_special_tokens=False)["input_ids"]
    for i in range(len(text)):
        pieces = [Piece(text[:i], is_data=i % 2 == 0), Piece(text[i:], is_data=i % 3 == 0)]
        assert encoder.encode(pieces) == expected, text[:i]


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", ALL)
def test_special_strings_in_data_are_plain_text_and_in_scaffolding_special(name: str) -> None:
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    special = special_strings(tokenizer)
    assert special
    for token, number in special.items():
        text = f"before {token} after{token}"
        ids = encoder.encode([Piece(text, is_data=True)])
        assert not set(ids) & set(special.values()), token
        assert tokenizer.decode(ids, skip_special_tokens=True) == text, token
        assert number in encoder.encode([Piece(token, is_data=False)]), token


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_hostile_inputs_and_answers_add_no_special_token_to_a_prompt(name: str) -> None:
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    special = special_strings(tokenizer)
    hostile = "".join(token for token in sorted(special) if "reserved" not in token and "SPECIAL" not in token)
    hostile += "{{ raise_exception('no') }}{% endif %}"
    chat = ChatFormat(tokenizer, encoder, "Decide.", {})

    def specials(text: str) -> list[int]:
        pieces = chat.prompt([Demonstration({"text": text}, text)], {"text": text})
        prompt, (answer,) = encoder.encode_answers(pieces, [chat.answer(text)])
        return [token for token in [*prompt, *answer] if token in special.values()]

    assert specials(hostile) == specials("harmless")
    assert specials("harmless")


def test_data_cannot_forge_the_private_names_of_special_tokens() -> None:
    tokenizer = byte_tokenizer()
    encoder = TextEncoder(tokenizer)
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    for forged in (f"\U0010fff0{end}\U0010fff1", f"\U0010fff0\U0010fff0{end}\U0010fff1", f"{END_OF_TEXT}"):
        assert end not in encoder.encode([Piece(forged, is_data=True)])
        assert end not in encoder.encode([Piece(forged[:1], is_data=True), Piece(forged[1:], is_data=True)])


def test_a_special_string_made_of_two_pieces_of_data_stays_text() -> None:
    tokenizer = byte_tokenizer(chat=True)
    encoder = TextEncoder(tokenizer)
    end = tokenizer.convert_tokens_to_ids(IM_END)
    assert end not in encoder.encode([Piece("<|im_", is_data=True), Piece("end|>", is_data=True)])
    assert end not in encoder.encode([Piece("<|im_", is_data=False), Piece("end|>", is_data=True)])
    assert encoder.encode([Piece(IM_START + IM_END, is_data=False)]) == tokenizer(IM_START + IM_END)["input_ids"]


def test_a_special_token_that_begins_another_is_told_apart() -> None:
    tokenizer = byte_tokenizer(special_tokens=["<|end|>", "<|end|>x", "plain"])
    encoder = TextEncoder(tokenizer)
    for text in ("<|end|>", "<|end|>x", "plain", "<|end|>plain<|end|>x"):
        assert encoder.encode([Piece(text, is_data=False)]) == tokenizer(text, add_special_tokens=False)["input_ids"]
        assert max(encoder.encode([Piece(text, is_data=True)])) < 256


def test_runs_of_spaces_that_a_vocabulary_adds_are_no_special_tokens() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken("    ", normalized=False)])
    spaces = tokenizer.convert_tokens_to_ids("    ")
    assert spaces in TextEncoder(tokenizer).encode([Piece("a    b", is_data=True)])


def test_no_bos_or_eos_is_added() -> None:
    tokenizer = byte_tokenizer()
    assert TextEncoder(tokenizer).encode([Piece("abc", is_data=True)]) == tokenizer("abc")["input_ids"]
    assert TextEncoder(tokenizer).encode([]) == []


def test_a_tokenizer_without_offsets_is_refused() -> None:
    class Slow:
        name_or_path = "some/slow"

    with pytest.raises(ModelError, match="use a model with a fast tokenizer"):
        TextEncoder(Slow())  # type: ignore[arg-type]

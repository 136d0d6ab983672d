"""Texts tokenised one after another, from where they differ: the same ids as each from its beginning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sft.prompting.encoder import Piece, TextEncoder
from tests.fakes import byte_tokenizer
from tests.real_tokenizers import TOKENIZERS, encoder_named, tokenizer_named

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# What splits may depend on: runs of white space, contractions, digits in groups, marks that join the letter before.
FRAGMENTS = st.sampled_from(
    ["word", " word", "  ", "   ", "\n", "\n\n", "\r\n", " ", "'s", "'", "12345", "6", ".", "...", " —", "\u0301", "é",
     "مرحبا", " بالعالم", "天地", "😀", "\u200d", "a", "B", "-", "\t", "<|", "|>", "Text: ", "\nLabel:"]
)  # fmt: skip


def specials(tokenizer: Any) -> list[str]:
    return [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special][:3]


@st.composite
def texts_that_begin_alike(draw: Any, special: list[str]) -> list[str]:
    """Each keeps some of the one before it and goes on in another way."""
    fragments = st.one_of(FRAGMENTS, st.sampled_from(special))
    text = "".join(draw(st.lists(fragments, min_size=1, max_size=30)))
    texts = [text]
    for _ in range(draw(st.integers(1, 5))):
        kept = draw(st.integers(0, len(text)))
        text = text[:kept] + "".join(draw(st.lists(fragments, max_size=8)))
        texts.append(text)
    return texts


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", TOKENIZERS)
@FEW
@given(data=st.data())
def test_every_text_is_tokenised_as_if_it_were_the_first(name: str, data: st.DataObject) -> None:
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    for text in data.draw(texts_that_begin_alike(specials(tokenizer))):
        expected = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert encoder.encode([Piece(text, is_data=False)]) == expected, text


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", TOKENIZERS)
@FEW
@given(data=st.data())
def test_answers_are_tokenised_with_the_whole_prompt_before_them(name: str, data: st.DataObject) -> None:
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    answers = data.draw(st.lists(FRAGMENTS.filter(str.strip), min_size=1, max_size=4, unique=True))
    for text in data.draw(texts_that_begin_alike(specials(tokenizer))):
        prompt, ids = encoder.encode_answers([Piece(text, is_data=False)], answers)
        wholes = [tokenizer(text + answer, add_special_tokens=False)["input_ids"] for answer in answers]
        assert [prompt + tokens for tokens in ids] == wholes, text


def test_a_tokenizer_that_splits_at_nothing_is_asked_for_the_whole_text_again() -> None:
    """Its merges may cross any place: here `a` and `b` merge across what two texts have in common."""
    tokenizer = byte_tokenizer(merges=[("a", "b"), ("ab", "c")])
    encoder = TextEncoder(tokenizer)
    for text in ("long enough a", "long enough ab", "long enough abc", "long enough a"):
        assert encoder.encode([Piece(text, is_data=True)]) == tokenizer(text)["input_ids"]


def test_a_text_that_another_one_continues_costs_only_its_end() -> None:
    tokenizer = byte_tokenizer(chat=True)
    encoder = TextEncoder(tokenizer)
    long = "<|im_start|>" + "x" * 5000 + "<|im_end|><|im_start|>"
    asked: list[int] = []
    backend = encoder._incremental._backend

    class Spy:
        def encode(self, text: str, **kwargs: Any) -> Any:
            asked.append(len(text))
            return backend.encode(text, **kwargs)

    encoder._incremental._backend = Spy()  # type: ignore[assignment]
    for end in ("one", "two", "three"):
        encoder.encode([Piece(long + end, is_data=False)])
    assert asked[0] > 5000
    assert max(asked[1:]) < 20

"""For any text: tokens are the tokenizer's own, and data never becomes a special token."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sft.prompting.encoder import Piece, TextEncoder
from tests.fakes import IM_END, byte_tokenizer
from tests.real_tokenizers import TOKENIZERS, encoder_named, tokenizer_named

# The private characters of the encoder's own names are the one thing that isn't passed through.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\U0010fff0\U0010fff1"), max_size=60)
MERGEABLE = st.text("ab :", min_size=1, max_size=6)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

BYTES = byte_tokenizer(chat=True)
BYTE_ENCODER = TextEncoder(BYTES)


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", TOKENIZERS)
@FEW
@given(text=ANY_TEXT, cut=st.integers(0, 60))
def test_any_text_in_any_pieces_is_tokenised_as_the_tokenizer_does(name: str, text: str, cut: int) -> None:
    tokenizer = tokenizer_named(name)
    assume(not any(token in text for token in tokenizer.get_added_vocab()))
    pieces = [Piece(text[:cut], is_data=False), Piece(text[cut:], is_data=True)]
    assert encoder_named(name).encode(pieces) == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", TOKENIZERS)
@FEW
@given(data=st.data())
def test_special_strings_anywhere_in_data_stay_text(name: str, data: st.DataObject) -> None:
    tokenizer = tokenizer_named(name)
    special = {str(token): number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    fragments = st.one_of(st.sampled_from(sorted(special)), st.sampled_from(["<", "|>", " ", "x", "é", "\n"]))
    text = "".join(data.draw(st.lists(fragments, max_size=8))).strip()
    ids = encoder_named(name).encode([Piece(text, is_data=True)])
    assert not set(ids) & set(special.values())
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


@settings(deadline=None)
@given(text=ANY_TEXT, maximum=st.integers(0, 40))
def test_a_cut_is_the_start_of_the_text_in_at_most_so_many_tokens(text: str, maximum: int) -> None:
    kept = BYTE_ENCODER.cut(text, maximum)
    assert text.startswith(kept)
    assert len(kept.encode()) <= maximum or kept == text
    assert kept == text or len(text.encode()) > maximum


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_bytes_come_back_as_they_were(text: str) -> None:
    ids = BYTE_ENCODER.encode([Piece(text, is_data=True)])
    assert BYTES.decode(ids) == text
    assert len(ids) == len(text.encode())
    assert BYTES.convert_tokens_to_ids(IM_END) not in ids


@settings(deadline=None)
@given(
    merges=st.lists(st.tuples(st.sampled_from("ab :"), st.sampled_from("ab :")), unique=True, max_size=6),
    prompt=MERGEABLE,
    answers=st.lists(MERGEABLE, min_size=1, max_size=4, unique=True),
)
def test_the_split_of_prompt_and_answers_is_the_one_found_by_trying_all(
    merges: list[tuple[str, str]], prompt: str, answers: list[str]
) -> None:
    """The prompt is the longest common start of all token sequences that ends before the answers begin."""
    tokenizer = byte_tokenizer(merges=merges)
    wholes = [tokenizer(prompt + answer)["input_ids"] for answer in answers]

    def is_common(n: int) -> bool:
        starts = {tuple(whole[:n]) for whole in wholes}
        return len(starts) == 1 and len(tokenizer.decode(wholes[0][:n])) <= len(prompt)

    longest = max(n for n in range(len(prompt) + 1) if is_common(n))
    ids, answer_ids = TextEncoder(tokenizer).encode_answers([Piece(prompt, is_data=True)], answers)
    assert ids == wholes[0][:longest]
    assert [ids + tokens for tokens in answer_ids] == wholes
    assert all(answer_ids)

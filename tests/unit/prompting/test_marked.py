"""Token ids → pieces for people: nothing lost, characters whole, special tokens by name, the loss where it is."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from sft.prompting.chat import ChatFormat
from sft.prompting.marked import MarkedPiece, marked
from tests.fakes import IM_END, IM_START, byte_tokenizer
from tests.real_tokenizers import TOKENIZERS, WITH_TEMPLATE, encoder_named, surface, tokenizer_named

TEXTS = [
    "A plain sentence, with words!",
    "مَرْحَبًا بِالعَالَم، كيف الحال؟",
    "😀 👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301",
    "天地玄黄。한국어\n\n  नमस्ते",
]


def test_special_tokens_show_their_names_and_neighbours_of_a_kind_are_one_piece() -> None:
    tokenizer = byte_tokenizer(chat=True)
    ids = tokenizer(f"{IM_END}{IM_START}user", add_special_tokens=False)["input_ids"]
    answer = tokenizer("yes", add_special_tokens=False)["input_ids"]
    in_loss = [False] * len(ids) + [True] * (len(answer) + 1)
    assert marked([*ids, *answer, tokenizer.eos_token_id], in_loss, tokenizer) == [
        MarkedPiece(IM_END + IM_START, special=True, in_loss=False),
        MarkedPiece("user", special=False, in_loss=False),
        MarkedPiece("yes", special=False, in_loss=True),
        MarkedPiece(IM_END, special=True, in_loss=True),
    ]


def test_a_character_whose_bytes_are_on_both_sides_of_a_change_belongs_to_the_later_piece() -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer("aé😀b")["input_ids"]
    assert len(ids) == 8
    pieces = marked(ids, [False] * 5 + [True] * 3, tokenizer)
    assert [(piece.text, piece.in_loss) for piece in pieces] == [("aé", False), ("😀b", True)]


def test_a_stretch_without_a_whole_character_is_left_out() -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer("😀")["input_ids"]
    assert marked(ids, [False, True, False, False], tokenizer) == [MarkedPiece("😀", special=False, in_loss=False)]
    assert marked([], [], tokenizer) == []


def test_pieces_are_json() -> None:
    tokenizer = byte_tokenizer()
    (piece,) = marked(tokenizer("é")["input_ids"], [1, 1], tokenizer)
    assert json.loads(json.dumps(piece._asdict())) == {"text": "é", "special": False, "in_loss": True}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_real_tokenizers_stay_whole_wherever_the_loss_begins(name: str, text: str, assets: Path) -> None:
    tokenizer = tokenizer_named(name)
    eos = tokenizer.eos_token_id
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    expected = surface(tokenizer, ids)
    for n in range(1, len(ids)):
        pieces = marked([eos, *ids, eos], [False] * (n + 1) + [True] * (len(ids) - n + 1), tokenizer)
        assert "".join(piece.text for piece in pieces if not piece.special) == expected
        assert [piece.text for piece in pieces if piece.special] == [tokenizer.eos_token] * 2


@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_a_chat_shows_its_markup_as_special_and_its_contents_as_text(name: str, assets: Path) -> None:
    encoder, tokenizer = encoder_named(name), tokenizer_named(name)
    chat = ChatFormat(tokenizer, encoder, "Say how it feels.", {})
    ids = encoder.encode(chat.prompt([], {"text": f"مرحبا {tokenizer.eos_token} 😀"}))
    pieces = marked([*ids, chat.eot_id], [False] * len(ids) + [True], tokenizer)
    texts = "".join(piece.text for piece in pieces if not piece.special)
    assert f"مرحبا {tokenizer.eos_token} 😀" in texts
    assert pieces[-1].in_loss
    assert pieces[-1].special
    assert pieces[-1].text == tokenizer.convert_ids_to_tokens(chat.eot_id)
    assert all((a.special, a.in_loss) != (b.special, b.in_loss) for a, b in pairwise(pieces))

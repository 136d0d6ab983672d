"""Where a prompt ends and its answer begins, also where a tokenizer merges the two."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import normalizers
from transformers import AutoTokenizer

from sft.errors import ModelError
from sft.prompting.encoder import Piece, TextEncoder
from tests.fakes import byte_tokenizer
from tests.real_tokenizers import TOKENIZERS, encoder_named, surface, tokenizer_named

# (merges in order of priority, prompt, labels, tokens of the prompt, tokens of each label)
CASES: dict[str, tuple[list[tuple[str, str]], str, list[str], list[str], list[list[str]]]] = {
    "nothing merges": ([], "x:", ["ab", "c"], ["x", ":"], [["a", "b"], ["c"]]),
    "a merge inside a label": ([("a", "b")], "x:", ["ab", "c"], ["x", ":"], [["ab"], ["c"]]),
    "a merge inside the prompt": ([("x", ":")], "x:", ["ab", "c"], ["x:"], [["a", "b"], ["c"]]),
    "one label merges with the prompt": (
        [(":", "p")],
        "x:",
        ["pos", "neg"],
        ["x"],
        [[":p", "o", "s"], [":", "n", "e", "g"]],
    ),
    "both labels merge with the prompt": (
        [(":", "p"), (":", "n")],
        "x:",
        ["pos", "neg"],
        ["x"],
        [[":p", "o", "s"], [":n", "e", "g"]],
    ),
    "a label changes tokens before the last": (
        [(":", "p"), ("x", ":")],
        "yx:",
        ["pos", "neg"],
        ["y"],
        [["x", ":p", "o", "s"], ["x:", "n", "e", "g"]],
    ),
    "a whole label merges into the last token": ([(":", "p")], "x:", ["p", "q"], ["x"], [[":p"], [":", "q"]]),
    "the whole prompt merges": ([(":", "p")], ":", ["p", "q"], [], [[":p"], [":", "q"]]),
    "a space belongs to the word after it": (
        [(" ", "g")],
        "was",
        [" good", " bad"],
        ["w", "a", "s"],
        [[" g", "o", "o", "d"], [" ", "b", "a", "d"]],
    ),
    "labels that begin alike share no more than the prompt": ([], "x:", ["card", "card lost"], ["x", ":"], []),
    "one label": ([(":", "p")], "x:", ["p"], ["x"], [[":p"]]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_token_across_the_boundary_goes_to_the_labels(case: str) -> None:
    merges, prompt, labels, prompt_tokens, label_tokens = CASES[case]
    tokenizer = byte_tokenizer(merges=merges)
    ids, label_ids = TextEncoder(tokenizer).encode_answers([Piece(prompt, is_data=False)], labels)

    def texts(tokens: list[int]) -> list[str]:
        return [tokenizer.decode([token]) for token in tokens]

    assert texts(ids) == prompt_tokens
    assert [texts(tokens) for tokens in label_ids] == (label_tokens or [list(label) for label in labels])
    for label, tokens in zip(labels, label_ids, strict=True):
        assert ids + tokens == tokenizer(prompt + label)["input_ids"]


def test_a_label_without_any_token_is_refused_by_name() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u200b", "")
    with pytest.raises(ModelError, match=r"gives no token for the answer '\\u200b'"):
        TextEncoder(tokenizer).encode_answers([Piece("x:", is_data=False)], ["\u200b", "a"])


def test_an_empty_answer_is_the_end_of_turn_alone() -> None:
    prompt, answers = TextEncoder(byte_tokenizer()).encode_answers([Piece("x:", is_data=False)], [""])
    assert len(prompt) == 2
    assert answers == [[]]


PROMPTS = ["Review: a great film, 天地 😀\nIt was", "Label:", "Q: why?\nA: ", "x\n\n", 'He said "', "1 + 1 = "]
LABELS = [" terrible", " great", "great", "Positive", "1", "10", "نعم", "不", ":)", " ", "\n", "ing"]


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", TOKENIZERS)
def test_label_tokens_are_the_tail_of_the_whole_text(name: str) -> None:
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    for text in PROMPTS:
        prompt, labels = encoder.encode_answers([Piece(text, is_data=True)], LABELS)
        wholes = [tokenizer(text + label, add_special_tokens=False)["input_ids"] for label in LABELS]
        for label, tokens, whole in zip(LABELS, labels, wholes, strict=True):
            assert tokens, (text, label)
            assert prompt + tokens == whole
            assert surface(tokenizer, tokens).endswith(label)


@pytest.mark.usefixtures("assets")
@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_prompt_is_shortened_for_the_labels_that_are_asked_for_only(name: str) -> None:
    tokenizer, encoder = tokenizer_named(name), encoder_named(name)
    text = "Review: fine\nIt was"
    prompt, _ = encoder.encode_answers([Piece(text, is_data=True)], [" terrible", " great"])
    assert prompt == tokenizer(text, add_special_tokens=False)["input_ids"]


# (prompt, answers): real texts whose boundary is merged away by gpt2's vocabulary.
MERGED = [("It was gr", ["eat", "im"], "It was"), ("Score: 1", ["0", "5"], "Score:")]


@pytest.mark.parametrize(("text", "answers", "left"), MERGED)
def test_a_real_tokenizer_merges_across_the_boundary(assets: Path, text: str, answers: list[str], left: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(assets / "tokenizers" / "gpt2")
    prompt, labels = TextEncoder(tokenizer).encode_answers([Piece(text, is_data=True)], answers)
    assert tokenizer.decode(prompt) == left
    assert [tokenizer.decode(tokens) for tokens in labels] == [text.removeprefix(left) + a for a in answers]


def test_an_open_prompt_is_tokenised_as_before_an_answer(assets: Path) -> None:
    """gpt2 has one token for "\\n\\n" at the end of a text and two before a word; training sees the two."""
    tokenizer = AutoTokenizer.from_pretrained(assets / "tokenizers" / "gpt2")
    encoder = TextEncoder(tokenizer)
    prompt = [Piece("Label:\n\n", is_data=False)]
    assert tokenizer.convert_ids_to_tokens(encoder.encode(prompt))[-1] == "ĊĊ"
    assert tokenizer.convert_ids_to_tokens(encoder.encode_open(prompt, "positive"))[-2:] == ["Ċ", "Ċ"]
    assert encoder.encode_open(prompt, "positive") == encoder.encode_answers(prompt, ["positive"])[0]


def test_an_open_prompt_never_loses_text_to_the_answer() -> None:
    """Where the last token would merge with an answer, a model is still given the whole prompt to go on from."""
    encoder = TextEncoder(byte_tokenizer(merges=[("\n", "p"), (":", "q")]))
    for text, answer in [("x:\n", "pos"), ("x:", "qos")]:
        prompt = [Piece(text, is_data=False)]
        assert encoder.encode_open(prompt, answer) == encoder.encode(prompt)
        assert encoder.encode_answers(prompt, [answer])[0] == encoder.encode(prompt)[:-1]

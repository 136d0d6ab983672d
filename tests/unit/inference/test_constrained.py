"""Constrained texts: always whole values, whatever the scores and however near the length limit is."""

from __future__ import annotations

import json
import sys
from itertools import product
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

from sft.errors import MissingPackageError, SftError
from sft.inference.constrained.automaton import read_automaton
from sft.inference.constrained.constraint import grammar_constraint, json_schema_constraint
from sft.inference.constrained.processor import TRIED
from sft.inference.constrained.vocabulary import Vocabulary
from tests.constrained import PROMPT_LENGTH, byte_vocabulary, possible, random_texts
from tests.fakes import IM_END, IM_START, byte_tokenizer
from tests.real_tokenizers import tokenizer_named

TOKENIZER = byte_tokenizer()
TREE = {
    "$defs": {"node": {"type": "object", "properties": {"c": {"$ref": "#/$defs/node"}, "d": {"type": "boolean"}}}},
    "$ref": "#/$defs/node",
}
ORDER = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"n": {"type": "integer", "minimum": 10, "maximum": 205}, "t": {"type": "string"}},
                "required": ["n"],
            },
        }
    },
    "required": ["items"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "optional fields": {"type": "object", "properties": {k: {"type": "string"} for k in ("name", "الاسم", "q\"'")}},
    "required fields": {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "null"}, "c": {"type": "number"}},
        "required": ["a", "c"],
        "additionalProperties": False,
    },
    "nested": ORDER,
    "without limit of depth": TREE,
    "any value": {},
    "enum": {"enum": ["نعم", "no\n", 3, None, True, "a/b"]},
    "integer bounds": {"type": "integer", "minimum": -105, "maximum": 2047},
    "number bounds": {"type": "number", "exclusiveMinimum": 0, "maximum": 2.5},
    "items of several types": {"type": "array", "items": {"type": ["string", "integer", "null"]}, "minItems": 2},
    "places of a list": {
        "type": "array",
        "prefixItems": [{"type": "boolean"}, {"const": "x"}],
        "items": False,
        "minItems": 2,
    },
    "string lengths": {"type": "string", "minLength": 3, "maxLength": 6},
    "alternatives": {"anyOf": [{"type": "null"}, {"type": "object", "additionalProperties": {"type": "integer"}}]},
}


def wrong(texts: list[str], schema: dict[str, Any]) -> list[str]:
    """The texts that aren't values of the schema."""
    found = []
    for text in texts:
        try:
            allowed = Draft202012Validator(schema).is_valid(json.loads(text))
        except ValueError:
            allowed = False
        if not allowed or "\ufffd" in text:
            found.append(text)
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_texts_are_values_of_the_schema_at_every_length_limit(name: str) -> None:
    schema = SCHEMAS[name]
    constraint = json_schema_constraint(schema, byte_vocabulary())
    limits = range(constraint.fewest_tokens, max(40, constraint.fewest_tokens + 12))
    texts = [t for limit in limits for t in random_texts(constraint, TOKENIZER, limit, rows=2, seed=limit)]
    assert not wrong(texts, schema)
    assert max(map(len, texts)) > min(map(len, texts)) or name == "places of a list"


@pytest.mark.parametrize("name", SCHEMAS)
def test_texts_are_values_of_the_schema_where_the_model_ends_them_itself(name: str) -> None:
    constraint = json_schema_constraint(SCHEMAS[name], byte_vocabulary())
    assert not wrong(random_texts(constraint, TOKENIZER, 80, rows=6, unlikely_end=-9.0), SCHEMAS[name])


@pytest.mark.parametrize("name", ["gpt2", "mistral-instruct-v0.3", "phi3-mini-instruct"])
def test_byte_level_and_sentencepiece_tokens_make_whole_values(name: str, assets: Any) -> None:
    tokenizer = tokenizer_named(name)
    vocabulary = Vocabulary(tokenizer, len(tokenizer) + 11, tokenizer.eos_token_id)
    for schema in (SCHEMAS["required fields"], SCHEMAS["enum"]):
        constraint = json_schema_constraint(schema, vocabulary, lead=" ")
        fewest = constraint.fewest_tokens
        for limit in (fewest, fewest + 1, fewest + 4, 25):
            texts = random_texts(constraint, tokenizer, limit, rows=3, seed=limit)
            assert not wrong(texts, schema)
            # A decoder of SentencePiece drops the space before a text's first word.
            assert all(text.startswith(" ") or name != "gpt2" for text in texts)


def all_texts() -> list[str]:
    """Every text of `FINITE`, by hand."""
    names = ["ab", "abc", "ü", '"']
    values = [{"k": name} | ({"l": flag} if flag is not None else {}) for name in names for flag in (True, False, None)]
    lists = [list(items) for n in (1, 2) for items in product(["x", "yy"], repeat=n)]
    return [json.dumps(value, ensure_ascii=False) for value in [*values, *lists, 10, 11, 12]]


FINITE: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"k": {"enum": ["ab", "abc", "ü", '"']}, "l": {"type": "boolean"}},
            "required": ["k"],
            "additionalProperties": False,
        },
        {"type": "array", "items": {"enum": ["x", "yy"]}, "minItems": 1, "maxItems": 2},
        {"type": "integer", "minimum": 10, "maximum": 12},
    ]
}


def test_the_shortest_ending_is_the_shortest_there_is() -> None:
    """Compared with all texts of a schema that allows finitely many."""
    constraint = json_schema_constraint(FINITE, byte_vocabulary())
    grammar, texts = constraint.endings.grammar, [text.encode() for text in all_texts()]
    begins = {text[:n] for text in texts for n in range(len(text) + 1)}
    assert len(begins) > 100
    for begin in begins:
        endings = [text[len(begin) :] for text in texts if text.startswith(begin)]
        position = grammar.after(grammar.start, begin)
        shortest = min(map(len, endings))
        assert grammar.distance(position) == shortest, begin
        assert grammar.shortest_ending(position) in [ending for ending in endings if len(ending) == shortest]
        assert grammar.is_end(position) == (b"" in endings)
        assert grammar.farthest is not None
        assert grammar.farthest >= shortest
    assert not grammar.after(grammar.start, b'{"k": "abd')


@pytest.mark.parametrize("limit", [2, 8, 11, 15, 40])
def test_what_may_come_next_is_what_leaves_room_for_an_ending(limit: int) -> None:
    """One token per byte, so that what fits can be counted off the texts themselves."""
    constraint = json_schema_constraint(FINITE, byte_vocabulary())
    texts = [text for text in all_texts() if len(text.encode()) <= limit]
    begins = {text[:n] for text in texts for n in range(len(text) + 1) if "ü" not in text}
    assert begins
    for begin in begins:
        going_on = [text[len(begin) :] for text in texts if text.startswith(begin)]
        expected = {TOKENIZER(rest)["input_ids"][0] if rest else TOKENIZER.eos_token_id for rest in going_on}
        found = possible(constraint, begin, limit)
        # No more than so many tokens follow any beginning here, so trying some only leaves none out.
        assert len(expected) <= TRIED
        assert found == expected, begin


def test_far_from_the_limit_all_is_possible_that_the_grammar_allows() -> None:
    constraint = json_schema_constraint({"type": "object", "properties": {"a": {"type": "string"}}}, byte_vocabulary())
    inside = possible(constraint, '{"a": "', 200)
    special = {*range(len(TOKENIZER), byte_vocabulary().size), *TOKENIZER.convert_tokens_to_ids([IM_START, IM_END])}
    printable = set(TOKENIZER("".join(map(chr, range(0x20, 0x7F))))["input_ids"])
    assert printable <= inside
    assert not inside & special
    assert TOKENIZER.eos_token_id not in inside
    assert possible(constraint, '{"a": ""}', 200) == {TOKENIZER.eos_token_id}


def test_control_characters_and_halves_of_surrogate_pairs_are_never_generated() -> None:
    """xgrammar lets them into texts of limited length."""
    schema = {"type": "string", "minLength": 1, "maxLength": 9}
    constraint = json_schema_constraint(schema, byte_vocabulary(), lead="\n")
    assert possible(constraint, "", 50) == set(TOKENIZER("\n")["input_ids"])
    control = set(TOKENIZER("".join(map(chr, range(0x20))))["input_ids"])
    assert not possible(constraint, '\n"', 50) & control
    begin = TOKENIZER("퟿")["input_ids"]  # U+D7FF, the last character before the surrogates
    processor = constraint.processor(1, 50)
    ids = torch.zeros(1, PROMPT_LENGTH, dtype=torch.long)
    for token in [*TOKENIZER('\n"')["input_ids"], begin[0]]:
        processor(ids, torch.zeros(1, byte_vocabulary().size))
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    rest = processor(ids, torch.zeros(1, byte_vocabulary().size))[0] > -torch.inf
    assert int(rest.sum()) == 0xA0 - 0x80
    assert rest[begin[1]]


def test_near_the_limit_the_likeliest_token_that_fits_is_taken() -> None:
    constraint = json_schema_constraint({"type": "string"}, byte_vocabulary())
    ids = torch.zeros(1, PROMPT_LENGTH, dtype=torch.long)
    quote, letter, escape = (TOKENIZER(text)["input_ids"][0] for text in ('"', "k", "\\"))
    processor, taken = constraint.processor(1, 3), []
    for _ in range(3):
        scores = torch.zeros(1, byte_vocabulary().size)
        scores[0, escape], scores[0, letter] = 2.0, 1.0
        taken.append(int(processor(ids, scores).argmax()))
        ids = torch.cat([ids, torch.tensor([taken[-1:]])], dim=1)
    # An escape needs one more character and the quote.
    assert taken == [quote, letter, quote]


def test_where_other_rules_leave_nothing_the_grammar_decides() -> None:
    constraint = json_schema_constraint({"type": "boolean"}, byte_vocabulary())
    for limit in (5, 50):
        scores = torch.full((1, byte_vocabulary().size), -torch.inf)
        scores[0, TOKENIZER.eos_token_id] = 0.0
        chosen = constraint.processor(1, limit)(torch.zeros(1, PROMPT_LENGTH, dtype=torch.long), scores)[0]
        allowed = TOKENIZER("tf")["input_ids"]
        assert set((chosen > -torch.inf).nonzero()[:, 0].tolist()) == set(allowed)


def test_at_an_end_near_the_limit_the_end_is_always_possible() -> None:
    """Even where it is likelier that the text goes on in any of many ways, none of which fits."""
    constraint = grammar_constraint('root ::= [a-z] | [a-z] [a-z] "0000000000"', byte_vocabulary())
    ids, a = torch.zeros(1, PROMPT_LENGTH, dtype=torch.long), TOKENIZER("a")["input_ids"]
    processor = constraint.processor(1, 3)
    processor(ids, torch.zeros(1, byte_vocabulary().size))
    scores = torch.zeros(1, byte_vocabulary().size)
    scores[0, TOKENIZER.eos_token_id] = -5.0
    found = processor(torch.cat([ids, torch.tensor([a])], dim=1), scores)[0]
    assert (found > -torch.inf).nonzero()[:, 0].tolist() == [TOKENIZER.eos_token_id]


def test_near_the_limit_rows_are_kept_in_room_each_for_itself() -> None:
    """A batch does what its rows do alone, and what other rules bar stays barred where something else fits."""
    constraint = json_schema_constraint({"type": "string"}, byte_vocabulary())
    quote = TOKENIZER('"')["input_ids"][0]
    texts = [TOKENIZER(text)["input_ids"] for text in ('"k\\n', '"kkk', '"k"')]
    texts[2].append(TOKENIZER.eos_token_id)
    generator = torch.Generator().manual_seed(0)
    batch, alone = constraint.processor(3, 6), [constraint.processor(1, 6) for _ in texts]
    for step in range(5):
        ids = torch.tensor([[0] * PROMPT_LENGTH + text[:step] for text in texts])
        scores = torch.randn(3, byte_vocabulary().size, generator=generator)
        scores[1, quote] = -torch.inf if step else 0.0
        each = [processor(ids[i : i + 1], scores[i : i + 1].clone()) for i, processor in enumerate(alone)]
        together = batch(ids, scores)
        assert torch.equal(together, torch.cat(each))
        if step == 4:
            assert together[1].isfinite().sum() >= 1
            assert together[1, quote] == -torch.inf
            assert together[2].isfinite().all()  # it has ended


def test_a_grammar_constrains_a_list_of_labels() -> None:
    ebnf = 'root ::= "none" | label (", " label)*\nlabel ::= "joy" | "الغضب" | "joyful"'
    constraint = grammar_constraint(ebnf, byte_vocabulary(), lead=" ")
    for limit in range(constraint.fewest_tokens, 30):
        for text in random_texts(constraint, TOKENIZER, limit, rows=2, seed=limit):
            assert text == " none" or set(text[1:].split(", ")) <= {"joy", "الغضب", "joyful"}


def test_repeated_rules_are_counted() -> None:
    """Long repetitions have a form of their own in compiled grammars."""
    constraint = json_schema_constraint({"type": "string", "minLength": 200, "maxLength": 300}, byte_vocabulary())
    assert constraint.fewest_tokens == 202
    assert (constraint.endings.grammar.farthest or 0) >= 202
    texts = random_texts(constraint, TOKENIZER, 203, rows=2)
    assert all(200 <= len(json.loads(text)) <= 201 for text in texts)


def test_a_limit_below_the_shortest_value_is_refused() -> None:
    constraint = json_schema_constraint(SCHEMAS["required fields"], byte_vocabulary())
    assert constraint.fewest_tokens == len('{"a": "", "c": 0}')
    with pytest.raises(SftError, match=r'at most 16 tokens, and .*"c": 0}.* has 17'):
        constraint.processor(1, 16)


@pytest.mark.parametrize(
    ("ebnf", "message"),
    [
        ("root ::= root root", "left-recursive"),
        ('root ::= a "x"\na ::= b a "y" | "z"\nb ::= "" | "c"', "left-recursive"),
        ("root = x", "refuses the grammar"),
    ],
)
def test_grammars_that_cannot_be_followed_are_refused(ebnf: str, message: str) -> None:
    with pytest.raises(SftError, match=message):
        grammar_constraint(ebnf, byte_vocabulary())


def test_a_schema_that_no_value_satisfies_is_refused() -> None:
    with pytest.raises(SftError, match="can't make a grammar"):
        json_schema_constraint({"type": "integer", "minimum": 5, "maximum": 4}, byte_vocabulary())


def test_a_form_of_compiled_grammars_that_is_not_known_is_refused() -> None:
    with pytest.raises(SftError, match="v99"):
        read_automaton('{"__VERSION__": "v99"}')


def test_without_the_library_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgrammar", None)
    with pytest.raises(MissingPackageError, match=r"xgrammar.*not installed"):
        Vocabulary(TOKENIZER, len(TOKENIZER), TOKENIZER.eos_token_id)

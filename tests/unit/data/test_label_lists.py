"""Lists of labels as texts: written, read back, and all that a grammar allows."""

from __future__ import annotations

import itertools

import pytest

from sft.data.label_lists import LabelLists
from sft.errors import DataError
from sft.inference.constrained.constraint import grammar_constraint
from sft.inference.constrained.vocabulary import Vocabulary
from tests.tiny_models import tiny_loaded

# One begins another, one has what JSON escapes, one isn't ASCII.
LABELS = (" joy", "joy of life", 'a "b"\\', "Ärger")
LISTS = LabelLists(LABELS)
SETS = [set(chosen) for n in range(5) for chosen in itertools.combinations(range(4), n)]


def test_every_set_has_a_text_of_its_own_that_is_read_back() -> None:
    texts = [LISTS.text(labels) for labels in SETS]
    assert len(set(texts)) == len(SETS)
    assert [set(LISTS.labels(text)) for text in texts] == SETS
    assert (LISTS.text([]), LISTS.text([1, 0])) == ("none", "joy, joy of life")


def test_what_is_no_label_is_left_out() -> None:
    assert LISTS.labels("joy, envy, joy of") == [0]


@pytest.mark.parametrize("labels", [("none",), ("a", " a, b")])
def test_labels_that_a_list_could_not_tell_apart_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="can't be written in a list of labels"):
        LabelLists(labels)


@pytest.mark.parametrize("labels", [LABELS, LABELS[:1], LABELS[:2]])
def test_the_grammar_allows_the_texts_of_sets_and_no_others(labels: tuple[str, ...]) -> None:
    import xgrammar

    lists, loaded = LabelLists(labels), tiny_loaded()
    vocabulary = Vocabulary.of(loaded, loaded.tokenizer.eos_token_id)
    compiled = grammar_constraint(lists.grammar, vocabulary).compiled

    def allowed(text: str) -> bool:
        matcher = xgrammar.GrammarMatcher(compiled)
        return matcher.accept_string(text) and matcher.accept_token(loaded.tokenizer.eos_token_id)

    sets = [chosen for n in range(len(labels) + 1) for chosen in itertools.combinations(range(len(labels)), n)]
    for chosen in sets:
        assert allowed(lists.text(chosen)), chosen
    first = lists.text([0])
    for wrong in ("", f"{first}, {first}", f"{first}, none", f"none, {first}", f"{first},", f" {first}", first[:-1]):
        assert not allowed(wrong), wrong
    if len(labels) > 1:
        assert not allowed(f"{lists.text([1])}, {first}"), "labels are in order"

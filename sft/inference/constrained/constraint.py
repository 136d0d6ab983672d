"""Constraints on generated texts: a JSON Schema, or any grammar in the notation that xgrammar reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sft.errors import SftError
from sft.inference.constrained.automaton import read_automaton
from sft.inference.constrained.endings import Endings
from sft.inference.constrained.position import Grammar
from sft.inference.constrained.processor import ConstraintProcessor
from sft.inference.constrained.vocabulary import SURROGATE_BEGIN, Vocabulary, xgrammar

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LogitsProcessor


class CompiledConstraint:
    """A grammar for the tokens of one model; serves any number of batches.

    compiled: xgrammar's `CompiledGrammar`. json: whether texts are JSON, in which control characters are escaped. lead:
    the white space that texts begin with.
    """

    def __init__(self, compiled: Any, vocabulary: Vocabulary, *, is_json: bool, lead: str) -> None:
        self.compiled, self.vocabulary = compiled, vocabulary
        allowed = vocabulary.allowed(but_control_characters_in=lead.encode() if is_json else None)
        self._bits = {begun: allowed.bits(after_surrogate_begin=begun) for begun in (False, True)}
        self.endings = Endings(Grammar(read_automaton(compiled.grammar.serialize_json())), allowed)

    def bits_for(self, last_text: bytes) -> Tensor:
        """The tokens that texts may be made of, after a token with this text; see `Allowed.bits`."""
        return self._bits[last_text.endswith(SURROGATE_BEGIN)]

    @property
    def fewest_tokens(self) -> int:
        """Tokens of the shortest text, without the end of the turn."""
        return len(self.endings.tokens(self.endings.grammar.start))

    def processor(self, rows: int, max_new_tokens: int) -> LogitsProcessor:
        """For one batch; see `Constraint`. Raises `SftError` where no text is short enough."""
        if self.fewest_tokens > max_new_tokens:
            shortest = self.endings.grammar.shortest_ending(self.endings.grammar.start).decode()
            raise SftError(
                f"answers have at most {max_new_tokens} tokens, and {shortest!r}, the shortest that the grammar "
                f"allows, has {self.fewest_tokens}",
                "raise inference.generation_args.max_new_tokens or prompting.max_output_length",
            )
        return ConstraintProcessor(self, rows, max_new_tokens)


def json_schema_constraint(schema: Mapping[str, Any], vocabulary: Vocabulary, *, lead: str = "") -> CompiledConstraint:
    """Texts are JSON values that the schema allows, written as `json.dumps(value, ensure_ascii=False)` writes them.

    Keys come in the schema's order, objects with `properties` have no others. Keywords that the grammar can't enforce
    are for the caller to refuse: see `unenforced_keywords`. lead: white space that every text begins with.
    """
    grammar = xgrammar().Grammar
    try:
        value = grammar.from_json_schema(json.dumps(schema), any_whitespace=False)
    except RuntimeError as error:
        what = f"xgrammar can't make a grammar of the schema: {error}"
        raise SftError(what, "simplify prompting.output_schema, or set inference.constrained to false") from error
    return _compiled(value, vocabulary, is_json=True, lead=lead)


def grammar_constraint(ebnf: str, vocabulary: Vocabulary, *, lead: str = "") -> CompiledConstraint:
    """Texts are what a grammar in GBNF with the rule `root` allows, after the white space `lead`.

    Raises `SftError` for a grammar that is wrong, left-recursive or without a finite text.
    """
    try:
        value = xgrammar().Grammar.from_ebnf(ebnf)
    except RuntimeError as error:
        raise SftError(f"xgrammar refuses the grammar: {error}") from error
    return _compiled(value, vocabulary, is_json=False, lead=lead)


def _compiled(value: Any, vocabulary: Vocabulary, *, is_json: bool, lead: str) -> CompiledConstraint:
    library = xgrammar()
    if lead:
        value = library.Grammar.concat(library.Grammar.from_ebnf(f"root ::= {json.dumps(lead)}"), value)
    compiled = library.GrammarCompiler(vocabulary.info).compile_grammar(value)
    return CompiledConstraint(compiled, vocabulary, is_json=is_json, lead=lead)

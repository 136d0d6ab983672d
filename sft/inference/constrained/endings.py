"""How many tokens a text needs to come to its end, and which."""

from __future__ import annotations

from collections.abc import Sequence

from sft.inference.constrained.position import Grammar, Position
from sft.inference.constrained.vocabulary import Allowed


class Endings:
    """The shortest endings from the positions of a grammar, each looked for once."""

    def __init__(self, grammar: Grammar, allowed: Allowed) -> None:
        self.grammar = grammar
        self._allowed = allowed
        self._known: dict[Position, list[int]] = {}

    def tokens(self, position: Position) -> Sequence[int]:
        """Of the endings with the fewest bytes one, in as few tokens as it takes; none at an end."""
        known = self._known.get(position)
        if known is None:
            known = self._allowed.fewest(self.grammar.shortest_ending(position))
            self._known[position] = known
        return known

    @property
    def end(self) -> int:
        """The token that ends a text."""
        return self._allowed.end

    def text(self, token: int) -> bytes:
        return self._allowed.texts[token]

    def after(self, position: Position, token: int) -> Position:
        return self.grammar.after(position, self._allowed.texts[token])

    def fits(self, position: Position, token: int, left: int) -> bool:
        """Whether a text that goes on with the token can come to its end within `left` further tokens."""
        if token == self._allowed.end:
            return self.grammar.is_end(position)
        following = self.after(position, token)
        return bool(following) and len(self.tokens(following)) <= left

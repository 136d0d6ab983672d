"""Questions about labels inside the answer: after the row as the whole prompt, "joy: yes".

In a chat, what ends the user's turn and begins the assistant's is then read once for all labels of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sft.prompting.encoder import Piece
from sft.prompting.format import Demonstration, PromptFormat


class QuestionInAnswer:
    """A format in which the input `column` stands at the beginning of the answer instead. inner: of all the rest."""

    def __init__(self, inner: PromptFormat, column: str) -> None:
        self._inner, self._column = inner, column
        self.name: Literal["chat", "plain"] = inner.name
        self.prefix_ids, self.eot_id, self.separator = inner.prefix_ids, inner.eot_id, inner.separator

    def prompt(self, demonstrations: Sequence[Demonstration], query: Mapping[str, str]) -> list[Piece]:
        """Up to the colon."""
        shown = [
            Demonstration(self._others(each.inputs), self._question(each.inputs) + self.answer(each.answer))
            for each in demonstrations
        ]
        asked = Piece(self._inner.answer(self._question(query)), is_data=True)
        return [*self._inner.prompt(shown, self._others(query)), asked]

    def alone(self, text: str) -> list[Piece]:
        return self._inner.alone(text)

    def answer(self, text: str) -> str:
        return f" {text.strip()}"

    def _question(self, inputs: Mapping[str, str]) -> str:
        return f"{inputs[self._column]}:"

    def _others(self, inputs: Mapping[str, str]) -> dict[str, str]:
        return {column: text for column, text in inputs.items() if column != self._column}

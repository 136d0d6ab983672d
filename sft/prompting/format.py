"""The two ways to lay out a prompt, chat and plain, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from sft.prompting.encoder import Piece


class Demonstration(NamedTuple):
    """An in-context example: its input columns and its answer."""

    inputs: Mapping[str, str]
    answer: str


class PromptFormat(Protocol):
    """Lays out prompts. The answer is whatever follows the prompt, then the end-of-turn token.

    prefix_ids: tokens before the rendered text (a BOS that the text doesn't hold). eot_id: the end-of-turn token.
    separator: the text that follows an in-context example's answer where no special token does, else None.
    """

    name: Literal["chat", "plain"]
    prefix_ids: list[int]
    eot_id: int
    separator: str | None

    def prompt(self, demonstrations: Sequence[Demonstration], query: Mapping[str, str]) -> list[Piece]:
        """Everything before the answer."""
        ...

    def alone(self, text: str) -> list[Piece]:
        """A text as the whole prompt, without instruction and columns."""
        ...

    def answer(self, text: str) -> str:
        """An answer as it is written after the prompt."""
        ...


def column_title(column: str) -> str:
    """How a column is called in a prompt: `customer_message` → `Customer message`."""
    words = column.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def column_lines(inputs: Mapping[str, str]) -> str:
    """Several columns as `Column: value` lines."""
    return "\n".join(f"{column_title(column)}: {value}" for column, value in inputs.items())

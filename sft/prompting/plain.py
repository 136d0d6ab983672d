"""The plain format, for models without a chat template.

    <instruction>

    <template of an in-context example><its answer>

    <template of the query><answer>

The default template shows `Column: value` lines and then `Output column:`; the answer follows after a space. In a
template of the config the answer follows verbatim. Spaces at the end of a template belong to the answer, because
tokenizers write a space as part of the word after it. There is no end-of-turn token between in-context examples, one
after the answer.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Literal

from sft.prompting.encoder import Piece
from sft.prompting.format import Demonstration, column_title

SEPARATOR = "\n\n"


def default_template(input_columns: Sequence[str], output_column: str) -> str:
    lines = [f"{_escaped(column_title(column))}: {{{column}}}" for column in input_columns]
    return "\n".join([*lines, f"{_escaped(column_title(output_column))}: "])


def question_template(input_columns: Sequence[str], output_column: str, label: str) -> str:
    """For questions about labels. Little follows the label, because that is read anew for every label.

    label: the name of the column that holds it.
    """
    return default_template(input_columns, output_column) + f"{{{label}}}? "


class PlainFormat:
    """prefix_ids: the BOS that the tokenizer adds, if any."""

    name: Literal["chat", "plain"] = "plain"
    separator: str | None = SEPARATOR

    def __init__(self, instruction: str, template: str, eot_id: int, prefix_ids: list[int]) -> None:
        self._instruction = instruction
        stripped = template.rstrip(" ")
        self._answer_prefix = template[len(stripped) :]
        self._fields = [(literal, field) for literal, field, _, _ in string.Formatter().parse(stripped)]
        self.eot_id = eot_id
        self.prefix_ids = prefix_ids

    def prompt(self, demonstrations: Sequence[Demonstration], query: Mapping[str, str]) -> list[Piece]:
        pieces = [Piece(self._instruction + SEPARATOR, is_data=True)] if self._instruction else []
        for demonstration in demonstrations:
            pieces += self._filled(demonstration.inputs)
            pieces.append(Piece(self.answer(demonstration.answer) + SEPARATOR, is_data=True))
        return pieces + self._filled(query)

    def alone(self, text: str) -> list[Piece]:
        return [Piece(text, is_data=True)]

    def answer(self, text: str) -> str:
        return text if text.startswith(" ") else self._answer_prefix + text

    def _filled(self, inputs: Mapping[str, str]) -> list[Piece]:
        pieces = []
        for literal, field in self._fields:
            pieces.append(Piece(literal, is_data=False))
            if field is not None:
                pieces.append(Piece(inputs[field], is_data=True))
        return pieces


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")

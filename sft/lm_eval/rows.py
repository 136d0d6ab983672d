"""A scored row as the harness has it: a context, and choices that follow it to the letter.

The harness tokenises texts; a run tokenises prompts in which text of the data can't act as a special token. A row can
be expressed where both come to the same tokens, for every choice. Where the harness parts context and choice earlier
than a run does, all choices of a row have the same further tokens, and what these add to the scores is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sft.lm_eval.encoding import HarnessEncoding
from sft.prompting.build import WrittenPrompt

_TRIES = 4
_WHITE_SPACE = re.compile(r"(?<=\S)\s+")


class AskedRow(NamedTuple):
    """A test row as a run asks it.

    number: in the test split. texts: its candidates, or the verbalised labels. target: the right one's index. end: the
    token that is scored after every answer, or None.
    """

    number: int
    texts: Sequence[str]
    target: int
    written: WrittenPrompt
    end: int | None


class ExportedRow(NamedTuple):
    """extra_tokens: that the harness scores in every choice, and a run doesn't; negative for the other way round."""

    number: int
    context: str
    choices: list[str]
    target: int
    extra_tokens: int


def exported(row: AskedRow, end_text: str, encoding: HarnessEncoding) -> ExportedRow | None:
    """The row, or None where the harness would see other tokens. end_text: `row.end` as a text, empty for None."""
    ends = [] if row.end is None else [row.end]
    wanted = [[*row.written.ids.prompt, *ids, *ends] for ids in row.written.ids.labels]
    for context, moved in _partings(row.written.text):
        choices = [moved + answer + end_text for answer in row.written.answers]
        parted = _common_context(context, choices, wanted, encoding)
        if parted is not None:
            return ExportedRow(row.number, context, choices, row.target, len(row.written.ids.prompt) - parted)
    return None


def _common_context(
    context: str, choices: Sequence[str], wanted: Sequence[Sequence[int]], encoding: HarnessEncoding
) -> int | None:
    """How many tokens are read before each choice, if all tokens are those wanted and something is left to score."""
    read = 0
    for choice, ids in zip(choices, wanted, strict=True):
        split = encoding.split(context, choice)
        if not split.continuation or [*split.context, *split.continuation] != ids:
            return None
        read = len(split.context)
    return read


def _partings(text: str) -> Iterator[tuple[str, str]]:
    """The whole text as the context; then it parted before the last white space, the last but one, …"""
    if text.strip():
        yield text, ""
    for found in list(_WHITE_SPACE.finditer(text))[-1 : -1 - _TRIES : -1]:
        yield text[: found.start()], text[found.start() :]

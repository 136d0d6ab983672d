"""A row's candidates, and which of them its output column means.

Candidates stand in several columns, or in one that holds lists: of texts, or a dict of lists `text` and `label` (ARC,
OpenBookQA). An output is read in one way for all rows of a split: the first of `READINGS` that makes sense of each.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sft.data.text import clean
from sft.errors import DataError


class Candidates(NamedTuple):
    """What a row offers.

    texts: cleaned, one for each place; an empty one is no candidate. names: of the places (columns, or the row's own
    labels); empty where the places have none.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...] = ()

    def offered(self) -> tuple[str, ...]:
        """The different texts that aren't empty, in order: the same answer twice is one answer."""
        return tuple(dict.fromkeys(text for text in self.texts if text))

    def chosen(self, place: int) -> int:
        """The index among `offered` of the text at a place."""
        return self.offered().index(self.texts[place])


class Reading(NamedTuple):
    """A way to read an output. place: of the candidate that a text means; None where it means none."""

    name: str
    place: Callable[[str, Candidates], int | None]


def _named(output: str, row: Candidates) -> int | None:
    return row.names.index(output) if row.names.count(output) == 1 else None


def _lettered(output: str, row: Candidates) -> int | None:
    return string.ascii_uppercase.index(output) if len(output) == 1 and output in string.ascii_uppercase else None


def _numbered(output: str, row: Candidates) -> int | None:
    return int(output) if output.isdecimal() and output.isascii() else None


def _written(output: str, row: Candidates) -> int | None:
    return row.texts.index(output) if output in row.texts else None


TEXT = Reading("the text of a candidate", _written)
READINGS = (
    Reading("the name of a candidate column, or a row's own label", _named),
    Reading("a letter A, B, C, …", _lettered),
    Reading("a number counted from 0", _numbered),
    TEXT,
)


def right_ones(rows: Sequence[Candidates], outputs: Sequence[str], place: Callable[[int], str]) -> list[int]:
    """For each row the index, among those it offers, of the candidate that its output means.

    place: what error messages call a row. Raises `DataError` for an output that means no candidate, and where the
    outputs can be read in two ways that differ.
    """
    read = [[_read(reading, *each) for each in zip(outputs, rows, strict=True)] for reading in READINGS]
    known = [sum(found is not None for found in each) for each in read]
    best = known.index(max(known))  # the first of equal ones
    for i, found in enumerate(read[best]):
        if found is None:
            raise DataError(
                f"{place(i)}: {outputs[i]!r} means none of the row's candidates ({_shown(rows[i])}); read as "
                f"{READINGS[best].name}, which it is in {known[best]} of {len(rows)} rows",
                "mend the row, or remove it; prompting.output_column may hold the name of a candidate column, a row's "
                "own label, a letter A, B, C, …, a number counted from 0, or a candidate's text",
            )
    texts = read[READINGS.index(TEXT)]
    if all(text is not None for text in texts):
        for i, (found, text) in enumerate(zip(read[best], texts, strict=True)):
            if found != text:
                raise DataError(
                    f"{place(i)}: {outputs[i]!r} is both {READINGS[best].name} and the text of another candidate "
                    f"({_shown(rows[i])}), and so in all rows: it can't be known which is meant",
                    "write letters A, B, C, … into a column of its own and name that in prompting.output_column",
                )
    return [found for found in read[best] if found is not None]


def _read(reading: Reading, output: str, row: Candidates) -> int | None:
    place = reading.place(output, row)
    return row.chosen(place) if place is not None and place < len(row.texts) and row.texts[place] else None


def _shown(row: Candidates) -> str:
    names = row.names or tuple(map(str, range(len(row.texts))))
    return ", ".join(f"{name}: {text!r}" for name, text in zip(names, row.texts, strict=True) if text)


def in_columns(names: Sequence[str], values: Sequence[Any]) -> Candidates:
    """One candidate for each column of a row."""
    return Candidates(tuple(map(clean, values)), tuple(names))


def in_list(value: Any, place: str) -> Candidates:
    """The candidates of a column that holds lists. Raises `DataError` for a value that is none."""
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        labels = value.get("label", [])
        if isinstance(labels, list) and len(labels) in (0, len(value["text"])):
            return Candidates(tuple(map(clean, value["text"])), tuple(map(clean, labels)))
        raise DataError(f"{place}: {len(value['text'])} texts and the labels {labels!r}", "give one label to each text")
    if isinstance(value, list) and not any(isinstance(item, (list, Mapping)) for item in value):
        return Candidates(tuple(map(clean, value)))
    raise DataError(
        f"{place}: {value!r} is no list of candidates",
        'use a column of lists of texts, or of {"text": […], "label": […]}; or name several columns of one text each '
        "in prompting.candidate_columns",
    )

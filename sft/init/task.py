"""Rows and a guess → the task as a config needs it: labels and their wordings, sizes, lengths, and mended rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sft.config.schema import TaskType
from sft.data.text import clean
from sft.errors import DataError
from sft.init.guess import Guess
from sft.init.look import LABELS_AT_MOST, is_missing
from sft.init.rows import Row, Source, class_names
from sft.init.split import hold_out


class Task(NamedTuple):
    """What a config is drafted from.

    labels: data-set value → its wording for the model; empty where rows share none, or too many. counts: training rows
    of each label. longest_inputs: characters of the longest text of each input column; longest_output: of an answer.
    written: the rows of both splits, where the files can't be used as they are; reasons: why.
    """

    path: str | list[str]
    args: dict[str, Any]
    task_type: TaskType
    inputs: tuple[str, ...]
    output: str
    candidates: tuple[str, ...]
    separator: str | None
    labels: dict[str, str]
    counts: dict[str, int]
    train: int
    test: int
    longest_inputs: tuple[int, ...]
    longest_output: int
    written: Mapping[str, list[Row]] | None
    reasons: tuple[str, ...]


class Splits(NamedTuple):
    """Rows of both splits, and why they aren't those of the files, if so."""

    train: list[Row]
    test: list[Row]
    reasons: tuple[str, ...]


def task_of(source: Source, guess: Guess, share: float | None) -> Task:
    """share: of the training rows, to be held out where there is no test split."""
    train, test, reasons = _splits(source, guess, share)
    counts: Counter[str] = Counter(label for row in train for label in row_labels(row, guess))
    names = dict.fromkeys([*counts, *(label for row in test for label in row_labels(row, guess))])
    return Task(
        source.path,
        source.args,
        guess.task_type,
        guess.inputs,
        guess.output,
        guess.candidates,
        guess.separator,
        wordings(sorted(names, key=_order)) if len(names) <= LABELS_AT_MOST else {},
        dict(counts),
        len(train),
        len(test),
        tuple(_longest(train, name) for name in guess.inputs),
        _longest(train, guess.output),
        {"train": train, "test": test} if reasons else None,
        reasons,
    )


def needs_split(source: Source, output: str) -> bool:
    """Whether no split has answers to test on."""
    return all(rows is None or not _answered(rows, output) for rows in (source.test, source.validation))


def row_labels(row: Row, guess: Guess) -> list[str]:
    """The labels of a row, none for tasks without."""
    value = row.get(guess.output)
    if guess.task_type == "classification":
        return [_text(value)]
    if guess.task_type != "multilabel":
        return []
    parts = value.split(guess.separator or ",") if isinstance(value, str) else value
    return [text for text in map(_text, parts or ()) if text]


def wordings(names: Iterable[str]) -> dict[str, str]:
    """Labels as words: card_arrival is "card arrival", true is "yes"; as they are where that makes two the same."""
    names = list(names)
    if set(names) == {"true", "false"}:
        return {"false": "no", "true": "yes"}
    words = [" ".join(name.replace("_", " ").split()) or name for name in names]
    return dict(zip(names, words if len(set(words)) == len(words) else names, strict=True))


def _order(name: str) -> tuple[int, str]:
    """Numbers by size."""
    return (len(name) if name.isdecimal() else 0, name)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else clean(value)


def _splits(source: Source, guess: Guess, share: float | None) -> Splits:
    reasons = []
    train, bad = _read(source.train, guess)
    test_rows = source.test if source.test is not None and _answered(source.test, guess.output) else None
    if test_rows is None and source.validation is not None and _answered(source.validation, guess.output):
        test_rows = source.validation
        reasons.append("the validation split is used for testing, since there is no test split with answers")
    if test_rows is not None:
        test, more = _read(test_rows, guess)
        bad = _Bad(*map(sum, zip(bad, more, strict=True)))
    else:
        train, test = _hold_out(train, guess, share)
        reasons.append(f"{len(test)} of {len(train) + len(test)} rows are held out for testing")
    if bad.unanswered:
        reasons.append(f"rows without a value of {guess.output!r} are left out: {bad.unanswered}")
    if bad.empty:
        reasons.append(f"rows with nothing in {' and '.join(map(repr, guess.inputs))} are left out: {bad.empty}")
    if bad.spaced:
        reasons.append(f"values of {guess.output!r} with white space around them, which is removed: {bad.spaced}")
    for name, rows in (("train", train), ("test", test)):
        if not rows:
            raise DataError(f"no row with a value of {guess.output!r} is left for {name}", "add rows")
    return Splits(train, test, tuple(reasons))


class _Bad(NamedTuple):
    """Rows that a run would refuse or misread."""

    unanswered: int
    empty: int
    spaced: int


def _read(rows: Any, guess: Guess) -> tuple[list[Row], _Bad]:
    """The rows that have an answer, with names instead of numbers of classes."""
    names = class_names(rows)
    read = [_with_names(row, names) for row in rows]
    answered = [row for row in read if not _lacks(row[guess.output], guess)]
    kept = [row for row in answered if any(clean(row[name]) for name in guess.inputs)]
    spaced = 0
    for row in kept:
        value = row[guess.output]
        if guess.task_type == "classification" and isinstance(value, str) and value != clean(value):
            row[guess.output] = clean(value)
            spaced += 1
    return kept, _Bad(len(read) - len(answered), len(answered) - len(kept), spaced)


def _lacks(value: Any, guess: Guess) -> bool:
    """Whether a row has no answer; an empty text may be a row without labels."""
    return value is None if guess.task_type == "multilabel" else is_missing(value)


def _with_names(row: Row, names: Mapping[str, Sequence[str]]) -> Row:
    return {column: _name(value, names[column]) if column in names else value for column, value in row.items()}


def _name(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_name(item, names) for item in value]
    # Some hub data sets have -1 where an answer is kept secret.
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def _answered(rows: Any, output: str) -> bool:
    names = class_names(rows).get(output)
    values = rows[output] if output in rows.column_names else []
    return any(not is_missing(_name(value, names) if names else value) for value in values)


def _hold_out(rows: list[Row], guess: Guess, share: float | None) -> tuple[list[Row], list[Row]]:
    if share is None:
        raise DataError(
            "there is no test split with answers", "say what share of the rows to hold out, e.g. --split 0.2"
        )
    inputs: list[Hashable] = [tuple(clean(row[name]) for name in guess.inputs) for row in rows]
    common = Counter(label for row in rows for label in row_labels(row, guess))
    rarest = [min(row_labels(row, guess), key=lambda name: (common[name], name), default="") for row in rows]
    found = hold_out(inputs, rarest, share)
    return [rows[i] for i in found.train], [rows[i] for i in found.test]


def _longest(rows: Sequence[Row], column: str) -> int:
    return max((len(clean(row[column])) for row in rows), default=0)

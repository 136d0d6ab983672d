"""Which columns are the answer and the inputs, and so which task a table is for: a guess that options overrule."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sft.config.schema import TaskType
from sft.errors import DataError
from sft.init.look import Column, is_missing, words_of

_LABEL_NAMES = (
    "label", "labels", "class", "classes", "category", "categories", "target", "sentiment", "intent", "emotion",
    "emotions", "topic", "topics", "tag", "tags", "gold", "rating", "stars", "stance", "genre", "genres", "type",
    "verdict", "klasse", "kategorie", "categoría", "catégorie", "étiquette", "تصنيف", "التصنيف", "فئة", "الفئة",
    "标签", "类别",
)  # fmt: skip
_TEXT_NAMES = (
    "answer", "answers", "response", "output", "completion", "reply", "summary", "translation", "highlights", "target",
    "reference", "ref", "corrected", "label", "title", "antwort", "réponse", "respuesta", "الجواب", "إجابة", "ملخص",
    "答案",
)  # fmt: skip
_RIGHT_NAMES = ("answer", "answerkey", "answers", "correct", "gold", "label", "target", "right", "solution")
_CANDIDATE = re.compile(
    r"(.*?(?:option|choice|ending|candidate|answer|distractor|alternative|sol|antwort)\D?)[_ ]?([a-h]|\d)"
)
_SEPARATORS = (";", "|", ",")


class Guess(NamedTuple):
    """candidates: columns of the row's own candidates (multiple choice). separator: between labels in a text."""

    output: str
    task_type: TaskType
    inputs: tuple[str, ...]
    candidates: tuple[str, ...] = ()
    separator: str | None = None


class Given(NamedTuple):
    """What needn't be guessed."""

    output: str | None = None
    task_type: TaskType | None = None
    inputs: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


NOTHING = Given()


def guess(columns: Sequence[Column], table: Mapping[str, Sequence[Any]], given: Given = NOTHING) -> Guess:
    """What a table is for. table: the values behind `columns`.

    Raises `DataError` where nothing looks like an answer, or like an input.
    """
    choice = _choice(columns, given)
    if choice is not None:
        output, candidates = choice
        return Guess(output, "multiple_choice", _inputs(columns, {output, *candidates}, given.inputs), candidates)
    known = {column.name: column for column in columns}
    chosen = known[given.output] if given.output is not None else _answer(columns, table, given.task_type)
    if chosen.kind == "constant":
        raise DataError(
            f"every row has the same value in {chosen.name!r}: there is nothing to learn, and nothing to tell apart",
            "name another column with --output-column NAME, or give rows with other answers too",
        )
    separator = _separator(chosen, table[chosen.name]) if given.task_type in (None, "multilabel") else None
    kind = given.task_type or ("multilabel" if separator else _task_of(chosen))
    twins = {other.name for other in columns if other.kind == "label" and _same(table[other.name], table[chosen.name])}
    return Guess(chosen.name, kind, _inputs(columns, {chosen.name, *twins}, given.inputs), (), separator)


def _choice(columns: Sequence[Column], given: Given) -> tuple[str, tuple[str, ...]] | None:
    """The output and the candidates, if rows bring their own; None if not.

    Raises `DataError` where the task is said to be so, and one of the two isn't found.
    """
    if given.task_type not in (None, "multiple_choice"):
        return None
    candidates = given.candidates or _candidates(columns)
    output = given.output or _right(columns, candidates)
    if not candidates or output is None or (given.task_type is None and output in candidates):
        if given.task_type is None:
            return None
        raise DataError(
            f"no columns look like candidates and the right one; the columns are: {_described(columns)}",
            "say which they are, with --candidate-column NAME (repeatable) and --output-column NAME",
        )
    # SciQ and others name the wrong answers alone; the right one is a candidate too.
    wrong_alone = all(name.lower().startswith("distractor") for name in candidates)
    return output, ((*candidates, output) if wrong_alone else tuple(candidates))


def _answers(columns: Sequence[Column], table: Mapping[str, Sequence[Any]]) -> list[Column]:
    """The columns that may be the answer, the likeliest first: labels by name, lists, texts by name, other labels."""
    labels = [column for column in columns if column.kind == "label"]
    named = [c for c in columns if c.kind in ("label", "lists") or _separator(c, table[c.name])]
    found = sorted((c for c in named if _rank(c, _LABEL_NAMES) is not None), key=lambda c: _rank(c, _LABEL_NAMES) or 0)
    found += [column for column in columns if column.kind == "lists"]
    texts = [column for column in columns if column.kind == "text" and _rank(column, _TEXT_NAMES) is not None]
    # A table of texts needs one to be the input.
    if sum(column.kind == "text" for column in columns) > 1:
        found += sorted(texts, key=lambda c: _rank(c, _TEXT_NAMES) or 0)
    # Without a telling name, an answer is at least there: most often the last column.
    found += [column for column in reversed(labels) if 5 * column.missing <= column.rows]
    return list(dict.fromkeys(found))


def _answer(columns: Sequence[Column], table: Mapping[str, Sequence[Any]], task_type: TaskType | None) -> Column:
    fitting = _answers(columns, table)
    if task_type == "generation":
        fitting = [column for column in fitting if column.kind == "text"]
    if not fitting:
        fitting = [c for c in columns if c.kind == "constant" and _rank(c, _LABEL_NAMES) is not None]
    if not fitting:
        raise DataError(
            "no column looks like the answer: none has few values that come again and again, or a name such as "
            f"label or answer; the columns are: {_described(columns)}",
            "say which it is, with --output-column NAME; for JSON values as answers see docs/structured.md",
        )
    first = fitting[0]
    words = [c for c in columns if c.kind == "label" and not c.is_numbered and _same(table[c.name], table[first.name])]
    return words[0] if first.is_numbered and words else first


def _task_of(column: Column) -> TaskType:
    kinds: dict[str, TaskType] = {"label": "classification", "lists": "multilabel"}
    return kinds.get(column.kind, "generation")


def _inputs(columns: Sequence[Column], taken: set[str], given: Sequence[str]) -> tuple[str, ...]:
    if given:
        return tuple(given)
    free = [column for column in columns if column.name not in taken]
    for kinds in (("text",), ("label", "number"), ("id",)):
        found = tuple(column.name for column in free if column.kind in kinds)
        if found:
            return found
    raise DataError(
        f"no column is left for the model to read; the columns are: {_described(columns)}",
        "say which, with --input-column NAME",
    )


def _described(columns: Sequence[Column]) -> str:
    return ", ".join(f"{column.name!r} ({column.kind})" for column in columns)


def _rank(column: Column, names: Sequence[str]) -> int | None:
    ranks = [names.index(word) for word in [column.name.strip().lower(), *words_of(column.name)] if word in names]
    return min(ranks, default=None)


def _same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether two columns say the same in other words: each value of one goes with one of the other."""
    if any(isinstance(value, (list, dict)) for value in (*left, *right)):
        return False
    pairs = set(zip(left, right, strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _candidates(columns: Sequence[Column]) -> tuple[str, ...]:
    """One column of candidate lists; or columns like A, B, C or option1, option2."""
    lists = [column.name for column in columns if column.kind == "candidates"]
    if lists:
        return (lists[0],)
    letters = [column.name for column in columns if re.fullmatch(r"[A-H]", column.name)]
    if len(letters) >= 2 and letters == [chr(ord("A") + i) for i in range(len(letters))]:
        return tuple(letters)
    groups: dict[str, list[str]] = {}
    for column in columns:
        found = _CANDIDATE.fullmatch(column.name.lower())
        if found and column.kind not in ("lists", "other"):
            groups.setdefault(found[1], []).append(column.name)
    largest = max(groups.values(), key=len, default=[])
    return tuple(largest) if len(largest) >= 2 else ()


def _right(columns: Sequence[Column], candidates: Sequence[str]) -> str | None:
    """The column that says which candidate is right."""
    if not candidates:
        return None
    free = (c.name for c in columns if c.name not in candidates and set(words_of(c.name)) & set(_RIGHT_NAMES))
    return next(free, None)


def _separator(column: Column, values: Sequence[Any]) -> str | None:
    """What separates labels in a column of texts such as "joy, love", if its parts come again and again."""
    if column.kind not in ("text", "label") or _rank(column, _LABEL_NAMES) is None:
        return None
    texts = [str(value) for value in values if not is_missing(value)]
    for separator in _SEPARATORS:
        if _are_lists([[part.strip() for part in text.split(separator)] for text in texts], len(set(texts))):
            return separator
    return None


def _are_lists(split: Sequence[Sequence[str]], distinct: int) -> bool:
    """Whether short parts come again and again, no more different ones than whole texts; distinct: of those."""
    parts = [part for row in split for part in row]
    several = sum(len(row) > 1 for row in split)
    short = max((len(part.split()) for part in parts), default=0) <= 3
    return 10 * several >= len(split) and short and len(set(parts)) <= distinct and 3 * len(set(parts)) <= len(parts)

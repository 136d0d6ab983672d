"""What the columns of a table hold, told from their values and names; nothing is read here."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sft.data.text import clean

Kind = Literal["empty", "constant", "id", "date", "number", "label", "text", "lists", "candidates", "other"]

LABELS_AT_MOST = 100
_LABEL_LENGTH = 60
_NAMES_OF_IDS = {"id", "ids", "uuid", "guid", "idx", "index", "key", "url", "link", "nr", "no", "معرف", "رقم", "编号"}
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([ T]\d\d?:.*)?|\d\d?[./]\d\d?[./]\d{2,4}( \d\d?:.*)?")
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)*(e[-+]?\d+)?%?", re.IGNORECASE)
_CODE = re.compile(r"(?=.*\d)[\w-]+|https?://\S+", re.ASCII)


class Column(NamedTuple):
    """What a column holds.

    values: its different values as text, in the order of the rows, where `kind` is label or lists (of all lists
    together); else a few examples. missing: rows without a value. longest: characters of the longest value.
    """

    name: str
    kind: Kind
    rows: int
    missing: int
    longest: int
    values: tuple[str, ...]

    @property
    def is_numbered(self) -> bool:
        """Whether the values are numbers or codes, which tell a model nothing."""
        return bool(self.values) and all(map(is_number, self.values))


def is_number(label: str) -> bool:
    """Whether a label is a number, or LABEL_1 and the like."""
    return re.fullmatch(r"(label_?)?[-+]?\d+(\.\d+)?", label.lower()) is not None


def words_of(name: str) -> list[str]:
    """Reply-Text, reply_text, replyText → reply, text."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def look(columns: Mapping[str, Sequence[Any]], class_names: Mapping[str, Sequence[str]] | None = None) -> list[Column]:
    """One `Column` for each, in order. class_names: of the columns that hold numbers of known names."""
    return [_column(name, values, (class_names or {}).get(name)) for name, values in columns.items()]


def is_missing(value: Any) -> bool:
    """None, and texts of nothing but white space; an empty list is a value."""
    return value is None or (isinstance(value, str) and not value.strip()) or value != value


def _column(name: str, values: Sequence[Any], class_names: Sequence[str] | None) -> Column:
    present = [value for value in values if not is_missing(value)]
    missing = len(values) - len(present)
    if not present:
        return Column(name, "empty", len(values), missing, 0, ())
    if all(isinstance(value, (list, tuple)) for value in present):
        return _lists(name, values, present, class_names)
    if any(isinstance(value, Mapping) for value in present):
        kind: Kind = "candidates" if all(_is_candidates(value) for value in present) else "other"
        return Column(name, kind, len(values), missing, 0, ())
    texts = [_named(value, class_names) for value in present]
    distinct = tuple(dict.fromkeys(texts))
    kind = "label" if class_names and len(distinct) > 1 else _kind(name, texts, distinct)
    shown = distinct if kind == "label" else distinct[:3]
    return Column(name, kind, len(values), missing, max(map(len, texts)), shown)


def _named(value: Any, class_names: Sequence[str] | None) -> str:
    if class_names is not None and isinstance(value, int) and 0 <= value < len(class_names):
        return class_names[value]
    return str(value).lower() if isinstance(value, bool) else clean(value)


def _lists(name: str, values: Sequence[Any], present: Sequence[Any], class_names: Sequence[str] | None) -> Column:
    """Lists of values that recur are labels of a row; others, such as candidates, are only lists."""
    items = [_named(item, class_names) for value in present for item in value if not isinstance(item, (list, Mapping))]
    distinct = tuple(dict.fromkeys(items))
    flat = len(items) == sum(map(len, present))
    kind: Kind = "lists" if class_names or (flat and _recurs(items, distinct)) else "other"
    is_choice = flat and kind == "other" and min(map(len, present)) >= 2
    longest = max(map(len, items), default=0)
    return Column(name, "candidates" if is_choice else kind, len(values), len(values) - len(present), longest, distinct)


def _is_candidates(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("text"), list)


def _recurs(texts: Sequence[str], distinct: Sequence[str]) -> bool:
    """Whether values come again and again, as labels do."""
    few = 1 < len(distinct) <= LABELS_AT_MOST and 2 * len(distinct) <= len(texts)
    return few and max(map(len, distinct)) <= _LABEL_LENGTH


def _kind(name: str, texts: Sequence[str], distinct: Sequence[str]) -> Kind:
    if len(distinct) == 1 and len(texts) > 1:
        return "constant"
    # An unnamed first column is what pandas writes for row numbers.
    if set(words_of(name)) & _NAMES_OF_IDS or name.startswith("Unnamed:") or not name.strip() or _counts(texts):
        return "id"
    if all(_DATE.fullmatch(text) for text in distinct):
        return "date"
    if _recurs(texts, distinct):
        return "label"
    if all(_NUMBER.fullmatch(text) for text in distinct):
        return "number"
    return "id" if len(distinct) == len(texts) and all(_CODE.fullmatch(text) for text in distinct) else "text"


def _counts(texts: Sequence[str]) -> bool:
    """Whether values are whole numbers that go up by one from row to row."""
    if len(texts) < 3 or not all(text.isascii() and text.isdecimal() for text in texts):
        return False
    numbers = [int(text) for text in texts]
    return all(after == before + 1 for before, after in itertools.pairwise(numbers))

"""Precision, recall and F1 of the fields of JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sft.data.json_values import NotJsonError, comparable, parse_json
from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import StructuredOutcome
from sft.evaluation.row_sums import Floats, RowSums, whole


class Field(NamedTuple):
    """path: keys joined by ".", "[]" for any place in a list, "$" for the outermost value. value: one text for each
    value.
    """

    path: str
    value: str


def fields_of(text: str) -> Counter[Field]:
    """The fields of a JSON text, each as often as it is there; none for a text that isn't JSON.

    A field is a path and the text, number, true, false or null that stands there. Objects and lists are no fields, so
    an empty one has none. A list's items share a path: their order doesn't matter.
    """
    try:
        return Counter(_fields(parse_json(text), ""))
    except NotJsonError:
        return Counter()


def _fields(value: Any, path: str) -> Iterator[Field]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _fields(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from _fields(item, f"{path}[]")
    else:
        yield Field(path or "$", comparable(value))


def _counts(outcome: StructuredOutcome) -> NDArray[np.float64]:
    """[N, 3]: fields that answer and reference share, fields of the answer, fields of the reference."""
    rows = []
    for prediction, reference in zip(outcome.predictions, outcome.references, strict=True):
        said, right = fields_of(prediction), fields_of(reference)
        rows.append(((said & right).total(), said.total(), right.total()))
    return np.array(rows, dtype=np.float64).reshape(len(rows), 3)


def _micro(sums: Floats, rows: int) -> dict[str, Floats]:
    hits, said, right = sums
    return {
        "field_precision": _ratio(hits, said),
        "field_recall": _ratio(hits, right),
        "field_f1": _ratio(2 * hits, said + right),
    }


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1.0), 0.0)


_MICRO = RowSums(_counts, _micro)


@metric("fields", task_type="structured", default=True, row_sums=_MICRO)
def fields(outcome: StructuredOutcome) -> dict[str, Any]:
    """`field_precision`, `field_recall` and `field_f1` of all rows' fields together (micro).

    A field of an answer is right where the row's reference has the same path with the same value; of equal ones, as
    many as the reference has. See `fields_of` for what a field is. An answer that isn't JSON says nothing and misses
    everything. 0 where there is nothing to divide by.
    """
    return whole(_MICRO, outcome)


@metric("per_field", task_type="structured", default=True)
def per_field(outcome: StructuredOutcome) -> dict[str, Any]:
    """A table of precision, recall and F1, one row per path in alphabetical order, with how often answers (`predicted`)
    and references (`support`) have it.
    """
    counts: dict[str, list[int]] = {}
    for prediction, reference in zip(outcome.predictions, outcome.references, strict=True):
        said, right = fields_of(prediction), fields_of(reference)
        for column, found in enumerate((said & right, said, right)):
            for field, times in found.items():
                counts.setdefault(field.path, [0, 0, 0])[column] += times
    table = []
    for path, (hits, predicted, support) in sorted(counts.items()):
        table.append(
            {
                "field": path,
                "precision": hits / predicted if predicted else 0.0,
                "recall": hits / support if support else 0.0,
                "f1": 2 * hits / (predicted + support),
                "predicted": predicted,
                "support": support,
            }
        )
    return {"per_field": table}

"""Metrics of JSON answers, counted by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sft.evaluation.metrics import compute_metrics
from sft.evaluation.metrics.fields import fields_of
from sft.evaluation.outcome import StructuredOutcome

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "n": {"type": "integer"}, "l": {"type": "array"}},
    "additionalProperties": False,
}


def metrics(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """pairs: prediction, reference."""
    return compute_metrics(StructuredOutcome(SCHEMA, [r for _, r in pairs], [p for p, _ in pairs]), None, {})


PAIRS = [
    ('{"a": "x", "n": 1}', '{"a": "x", "n": 2}'),  # one of two is right
    ('{"n":1.0,"a":"x"}', '{"a": "x", "n": 1}'),  # the same value
    ('{"a": "x", "z": true}', '{"a": "x"}'),  # JSON, and no value of the schema
    ('{"a": "x"', '{"a": "x", "n": 3}'),  # no JSON
    ('{"l": [2, 1, 1]}', '{"l": [1, 2, 2]}'),  # two items shared
    ("{}", "{}"),
]


def test_rates_are_those_counted_by_hand() -> None:
    results = metrics(PAIRS)
    assert results["valid_json"] == pytest.approx(5 / 6)
    assert results["schema_valid"] == pytest.approx(4 / 6)
    assert results["exact_match"] == pytest.approx(2 / 6)


def test_fields_are_those_counted_by_hand() -> None:
    results = metrics(PAIRS)
    hits, said, right = 1 + 2 + 1 + 0 + 2, 2 + 2 + 2 + 0 + 3, 2 + 2 + 1 + 2 + 3
    assert results["field_precision"] == pytest.approx(hits / said)
    assert results["field_recall"] == pytest.approx(hits / right)
    assert results["field_f1"] == pytest.approx(2 * hits / (said + right))
    rows = {row["field"]: row for row in results["per_field"]}
    assert list(rows) == ["a", "l[]", "n", "z"]
    assert rows["a"] == {"field": "a", "precision": 1.0, "recall": 0.75, "f1": 6 / 7, "predicted": 3, "support": 4}
    assert (rows["n"]["precision"], rows["n"]["recall"]) == (0.5, pytest.approx(1 / 3))
    assert (rows["z"]["precision"], rows["z"]["recall"], rows["z"]["support"]) == (0.0, 0.0, 0)
    assert sum(row["predicted"] for row in rows.values()) == said


def test_where_there_is_nothing_to_divide_by_the_result_is_0() -> None:
    results = metrics([("{}", "{}")])
    assert (results["field_precision"], results["field_recall"], results["field_f1"]) == (0, 0, 0)
    assert results["per_field"] == []
    assert results["exact_match"] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"b": [{"c": 1}, {"c": 1.0}]}, "d": null}', {("a.b[].c", "1"): 2, ("d", "null"): 1}),
        ('"x"', {("$", '"x"'): 1}),
        ("[[true], [], {}]", {("[][]", "true"): 1}),
        ('{"a": "1", "b": 1}', {("a", '"1"'): 1, ("b", "1"): 1}),
        ("[NaN]", {}),
    ],
)
def test_a_field_is_a_path_and_a_value(text: str, expected: dict[tuple[str, str], int]) -> None:
    assert fields_of(text) == Counter(expected)

"""What columns of made-up tables hold."""

from __future__ import annotations

from typing import Any

import pytest

from sft.init.look import Column, look

TEXTS = [f"the parcel came after {i} days" for i in range(12)]

# values of a column → what it holds
KINDS: dict[str, tuple[str, list[Any], str]] = {
    "texts": ("review", TEXTS, "text"),
    "Arabic texts": ("مراجعة", [f"وصل الطلب بعد {i} أيام" for i in range(12)], "text"),
    "labels": ("mood", ["good", "bad"] * 6, "label"),
    "labels with gaps": ("mood", ["good", "", None, "bad"] * 3, "label"),
    "numbers as labels": ("stars", [1, 2, 3] * 4, "label"),
    "true and false": ("spam", [True, False] * 6, "label"),
    "row numbers": ("n", list(range(5, 17)), "id"),
    "row numbers as text": ("n", [str(i) for i in range(12)], "id"),
    "what pandas leaves": ("Unnamed: 0", [3, 1, 2] * 4, "id"),
    "ids that recur": ("user_id", ["a", "b"] * 6, "id"),
    "ids by camel case": ("userId", ["a", "b"] * 6, "id"),
    "codes": ("ref", [f"ID-{i}" for i in range(12)], "id"),
    "addresses": ("page", [f"https://example.org/{i}" for i in range(12)], "id"),
    "days": ("when", [f"2024-03-{i + 1:02}" for i in range(12)], "date"),
    "prices": ("price", [f"{i}.99" for i in range(12)], "number"),
    "one value": ("source", ["web"] * 12, "constant"),
    "nothing": ("notes", ["", None, "  "] * 4, "empty"),
    "lists of labels": ("tags", [["a", "b"], [], ["b"], ["a"]] * 3, "lists"),
    "lists of candidates": ("choices", [[f"a{i}", f"b{i}"] for i in range(12)], "candidates"),
    "candidates as in ARC": ("choices", [{"text": ["x", "y"], "label": ["A", "B"]}] * 12, "candidates"),
    "objects": ("meta", [{"a": 1}] * 12, "other"),
    "long values that recur": ("text", ["x" * 200, "y" * 200] * 6, "text"),
}


def only(name: str, values: list[Any], **known: Any) -> Column:
    (column,) = look({name: values}, known or None)
    return column


@pytest.mark.parametrize("case", KINDS)
def test_a_column_is_told_by_its_values_and_name(case: str) -> None:
    name, values, kind = KINDS[case]
    assert only(name, values).kind == kind


def test_missing_values_are_counted_and_are_no_label() -> None:
    column = only("mood", ["good", "", None, " bad ", "good", "bad"])
    assert (column.missing, column.values) == (2, ("good", "bad"))


def test_numbers_of_named_classes_are_their_names() -> None:
    column = only("label", [1, 0, 1], label=["no", "yes"])
    assert (column.kind, column.values) == ("label", ("yes", "no"))


def test_the_longest_value_is_measured_in_characters() -> None:
    assert only("review", [*TEXTS, "ح" * 300]).longest == 300

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sft.reporting.html.items import MOST_RIGHT, Choice, choose_items, cut, shown_item


def _choose(right: Sequence[bool], budget: int, seed: str = "x") -> Choice:
    """Each item takes four bytes."""
    return choose_items(right, budget, seed, lambda place: f"{place:04d}")


def test_all_errors_come_before_any_other_row() -> None:
    chosen = _choose([row % 10 != 0 for row in range(100)], 4 * 15)
    rows = list(map(int, chosen.rows))
    assert rows == sorted(rows)
    assert {row for row in rows if row % 10 == 0} == set(range(0, 100, 10))
    assert (chosen.errors, chosen.others) == ((10, 10), (5, 90))
    assert chosen.about == "Shown: all 10 errors, 5 of 90 others (a random sample)."


def test_the_sample_depends_on_the_seed_alone() -> None:
    samples = [_choose([True] * 100, 4 * 20, seed).rows for seed in ("x", "x", "y")]
    assert samples[0] == samples[1] != samples[2]
    assert samples[0] != [f"{row:04d}" for row in range(20)]


def test_too_many_errors_are_sampled_and_nothing_else_is_shown() -> None:
    chosen = _choose([row >= 90 for row in range(100)], 4 * 30 + 3)
    assert (chosen.errors, chosen.others) == ((30, 90), (0, 10))
    assert "30 of 90 errors (a random sample: all of them would make the file too large)" in chosen.about


def test_right_answers_are_a_sample_even_where_there_is_room() -> None:
    assert _choose([True] * 2 * MOST_RIGHT, 10**6).others == (MOST_RIGHT, 2 * MOST_RIGHT)


def test_size_is_counted_in_bytes() -> None:
    assert choose_items([True, True], 4, "x", lambda place: "שש").others == (1, 2)


@pytest.mark.parametrize(
    ("values", "answer", "references", "classes"),
    [
        ({"reference": "a", "prediction": "b"}, "b", ["a"], ["a", "b"]),
        ({"reference": "a", "prediction": ""}, "", ["a"], ["a"]),
        ({"reference": ["a", "b"], "prediction": []}, "", ["a", "b"], ["a", "b"]),
        ({"references": ["x", "y"], "prediction": "z"}, "z", ["x", "y"], []),
    ],
)
def test_items_of_every_task_are_read(values: Any, answer: str, references: list[str], classes: list[str]) -> None:
    item = shown_item({"row": 0, "inputs": {"text": "t"}, **values}, False, ["a", "b"])
    assert (item.answer, item.references, item.classes) == (answer, references, classes)


def test_the_largest_probabilities_are_shown_first() -> None:
    labels = [f"label {i}" for i in range(8)]
    values = {"row": 0, "inputs": {}, "reference": "label 0", "prediction": "label 7"}
    item = shown_item({**values, "probabilities": [i / 28 for i in range(8)]}, False, labels)
    assert [name for name, _ in item.probabilities] == ["label 7", "label 6", "label 5", "label 4", "label 3"]


def test_a_long_text_is_cut_and_says_how_much_is_missing() -> None:
    assert cut("x" * 1500) == "x" * 1500
    assert cut("x" * 2600) == "x" * 1500 + "… (1,100 more characters)"

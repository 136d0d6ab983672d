"""Inputs of random words: of the training rows alone, column by column, as long as their texts are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sft.data.example import Example
from sft.data.random_words import ROWS_READ, random_word_inputs

ARABIC = ["هذا المطعم رائع جدا", "الخدمة سيئة 😡", "طعام لذيذ 👨‍👩‍👧 جدا"]


def rows(texts: Sequence[str], **more: Sequence[str]) -> list[Example]:
    columns = {"text": texts, **more}
    return [
        Example(i, dict(zip(columns, values, strict=True)))
        for i, values in enumerate(zip(*columns.values(), strict=True))
    ]


def drawn(
    train: list[Example], count: int = 50, seed: int = 13, columns: Sequence[str] = ("text",)
) -> list[dict[str, str]]:
    return random_word_inputs(train, columns, count, seed)


def test_words_are_those_of_the_texts_with_their_marks_and_emoji_whole() -> None:
    words = {word for text in ARABIC for word in text.split()}
    seen = {word for inputs in drawn(rows(ARABIC)) for word in inputs["text"].split(" ")}
    assert seen == words
    assert "👨‍👩‍👧" in seen


def test_they_are_as_long_as_the_texts_of_their_column_are_on_average() -> None:
    train = rows(["a b c", "a b c d e"], title=["x", "y z"], empty=["", " "])
    for inputs in drawn(train, columns=("text", "title", "empty")):
        assert len(inputs["text"].split()) == 4
        assert len(inputs["title"].split()) == 2  # of 1.5
        assert inputs["empty"] == ""


def test_a_column_draws_from_its_own_words_only() -> None:
    for inputs in drawn(rows(["a b c"], title=["x y z"]), columns=("text", "title")):
        assert set(inputs["text"].split()) <= {"a", "b", "c"}
        assert set(inputs["title"].split()) <= {"x", "y", "z"}


def test_common_words_are_drawn_more_often() -> None:
    words = " ".join(inputs["text"] for inputs in drawn(rows(["often often often rare"]), count=500)).split()
    assert words.count("often") / len(words) == pytest.approx(0.75, abs=0.04)


def test_a_column_whose_texts_are_mostly_empty_still_gets_a_word() -> None:
    assert {inputs["text"] for inputs in drawn(rows(["", "", "", "word"]))} == {"word"}


def test_no_rows_and_no_words_give_empty_inputs() -> None:
    assert drawn([], count=2) == [{"text": ""}, {"text": ""}]
    assert drawn(rows(["a b"]), count=0) == []


def test_fewer_inputs_are_the_first_of_more() -> None:
    train = rows(ARABIC, title=["a b", "c", "d"])
    few, many = (drawn(train, count, columns=("text", "title")) for count in (5, 20))
    assert many[:5] == few
    assert len({tuple(inputs.values()) for inputs in many}) > 10


def test_they_depend_on_the_seed_and_on_nothing_else() -> None:
    train = rows(ARABIC)
    assert drawn(train) == drawn(train)
    assert drawn(train, seed=1) != drawn(train, seed=2)


def test_of_very_many_rows_a_random_part_is_read() -> None:
    train = rows([f"word{i}" for i in range(3 * ROWS_READ)])
    numbers = [int(inputs["text"].removeprefix("word")) for inputs in drawn(train, count=300)]
    assert min(numbers) < ROWS_READ < 2 * ROWS_READ < max(numbers)

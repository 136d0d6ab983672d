"""Labels read from generated answers."""

from __future__ import annotations

import pytest

from sft.inference.parse import parse_label
from sft.label_scores import INVALID

LABELS = ("card", "card lost", "C++", "Straße", "très bien", "正面", "not sure", "0", "10")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("card", "card"),
        ("  Card.\n", "card"),
        ("CARD, because it is one", "card"),
        ("card lost", "card lost"),
        ("Card \n lost yesterday", "card lost"),
        ("card losts", "card"),
        ("cards", None),
        ("my card", None),
        ("", None),
        ("   ", None),
        ("c++!", "C++"),
        ("c", None),
        ("STRASSE", "Straße"),
        ("tre\u0300s bien", "très bien"),
        ("très\u00a0bien", "très bien"),
        ("tres bien", None),
        ("正面。", "正面"),
        ("正面的", None),
        ("Not sure at all", "not sure"),
        ("10", "10"),
        ("0.5", "0"),
        ("100", None),
        ("ｃａｒｄ", "card"),
        ('"card"', None),
    ],
)
def test_an_answer_names_the_longest_label_that_it_begins_with(answer: str, expected: str | None) -> None:
    index = parse_label(answer, LABELS)
    assert (None if index == INVALID else LABELS[index]) == expected


def test_white_space_around_a_verbalisation_does_not_matter() -> None:
    assert parse_label("terrible", (" great", " terrible")) == 1
    assert parse_label(" great", (" great", " terrible")) == 0


def test_the_order_of_labels_does_not_matter() -> None:
    assert parse_label("card lost", ("card lost", "card")) == 0
    assert parse_label("card lost", ("card", "card lost")) == 1

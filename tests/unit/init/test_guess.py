"""What a table is for, told from its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sft.errors import DataError
from sft.init.guess import NOTHING, Given, Guess, guess
from sft.init.look import look

N = 24
TEXT = [f"the parcel came after {i} days" for i in range(N)]
OTHER = [f"somebody waited for {i} hours" for i in range(N)]
MOOD = ["good", "bad", "bad"] * (N // 3)
LETTER = ["A", "B", "C"] * (N // 3)
TAGS = ["joy, love", "joy", "love, fear", "fear"] * (N // 4)


def of(given: Given = NOTHING, **columns: Sequence[Any]) -> Guess:
    return guess(look(columns), columns, given)


# columns → (output, task, inputs)
TABLES: dict[str, tuple[dict[str, Sequence[Any]], tuple[str, str, tuple[str, ...]]]] = {
    "a label by name": (
        {"text": TEXT, "country": LETTER, "sentiment": MOOD},
        ("sentiment", "classification", ("text",)),
    ),
    "a label by place": ({"id": range(N), "text": TEXT, "mood": MOOD}, ("mood", "classification", ("text",))),
    "Arabic names": ({"النص": TEXT, "البلد": LETTER, "فئة": MOOD}, ("فئة", "classification", ("النص",))),
    "two texts": (
        {"premise": TEXT, "hypothesis": OTHER, "label": MOOD},
        ("label", "classification", ("premise", "hypothesis")),
    ),
    "labels in words rather than in numbers": (
        {"text": TEXT, "label": [len(mood) for mood in MOOD], "label_text": MOOD},
        ("label_text", "classification", ("text",)),
    ),
    "an answer": ({"question": TEXT, "answer": OTHER}, ("answer", "generation", ("question",))),
    "lists": ({"text": TEXT, "labels": [["a"], ["a", "b"]] * (N // 2)}, ("labels", "multilabel", ("text",))),
    "a text of labels": ({"text": TEXT, "tags": TAGS}, ("tags", "multilabel", ("text",))),
    "letters of candidates": (
        {"question": TEXT, "A": TEXT, "B": OTHER, "C": MOOD, "answer": LETTER},
        ("answer", "multiple_choice", ("question",)),
    ),
    "numbered candidates": (
        {"question": TEXT, "option_1": TEXT, "option_2": OTHER, "gold": ["0", "1", "1"] * (N // 3)},
        ("gold", "multiple_choice", ("question",)),
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_output_task_and_inputs_are_found(case: str) -> None:
    columns, expected = TABLES[case]
    found = of(**columns)
    assert (found.output, found.task_type, found.inputs) == expected


def test_candidates_and_separators_are_found_too() -> None:
    assert of(question=TEXT, A=TEXT, B=OTHER, answer=["A", "B"] * (N // 2)).candidates == ("A", "B")
    assert of(text=TEXT, tags=TAGS).separator == ","
    assert of(text=TEXT, tags=[tag.replace(", ", "|") for tag in TAGS]).separator == "|"


def test_the_right_answer_is_a_candidate_beside_distractors() -> None:
    right = [f"right {i} of all" for i in range(N)]
    found = of(question=TEXT, distractor1=TEXT, distractor2=OTHER, correct_answer=right)
    assert (found.output, found.candidates) == ("correct_answer", ("distractor1", "distractor2", "correct_answer"))
    assert found.inputs == ("question",)


def test_what_is_given_is_not_guessed() -> None:
    assert of(Given(output="country"), text=TEXT, country=LETTER, label=MOOD).output == "country"
    assert of(Given(inputs=("country",)), text=TEXT, country=LETTER, label=MOOD).inputs == ("country",)
    assert of(Given(task_type="generation"), text=TEXT, answer=OTHER, label=MOOD).output == "answer"
    assert of(Given(output="label", task_type="generation"), text=TEXT, label=MOOD).task_type == "generation"


def test_a_column_that_repeats_the_answer_is_no_input() -> None:
    assert of(Given(output="label"), label=MOOD, label_text=[m.upper() for m in MOOD], text=TEXT).inputs == ("text",)


@pytest.mark.parametrize(
    ("columns", "given", "option"),
    [
        ({"text": TEXT}, Given(), "--output-column"),
        ({"text": TEXT, "note": ["x", "y", *[""] * (N - 2)]}, Given(), "--output-column"),
        ({"label": MOOD}, Given(), "--input-column"),
        ({"text": TEXT, "label": MOOD}, Given(task_type="multiple_choice"), "--candidate-column"),
    ],
)
def test_what_cannot_be_told_is_asked_for_by_the_name_of_an_option(
    columns: dict[str, Sequence[Any]], given: Given, option: str
) -> None:
    with pytest.raises(DataError, match=option):
        of(given, **columns)


@pytest.mark.parametrize("given", [NOTHING, Given(output="label"), Given(task_type="classification")])
def test_an_answer_that_is_always_the_same_is_refused(given: Given) -> None:
    with pytest.raises(DataError, match="every row has the same value in 'label'"):
        of(given, text=TEXT, label=["spam"] * N)

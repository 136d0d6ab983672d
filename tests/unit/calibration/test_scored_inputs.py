"""Scores beside the test rows: through JSON and back, and by what a method asks for."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.calibration import Needs
from sft.calibration.scored import MissingScores, ScoredInput, ScoredInputs, SupportInput
from sft.records import read_support, write_support

LABELS = ("no", "yes")


def scored(number: int, kind: Any, inputs: dict[str, str], **more: Any) -> ScoredInput:
    """With scores that tell which it is."""
    return ScoredInput(SupportInput(kind, inputs, **more), np.array([-float(number), -1.5]), np.array([number, 1]))


STORED = [
    scored(1, "content_free", {"text": "N/A", "title": "N/A"}),
    scored(2, "content_free", {"text": "", "title": ""}),
    scored(3, "content_free", {"text": "N/A", "title": "N/A"}, test_row=7),
    scored(4, "content_free", {"text": "N/A", "title": "N/A"}, test_row=5),
    scored(5, "random_words", {"text": "كلمة 😀", "title": "x"}),
    scored(6, "random_words", {"text": "a b", "title": "y"}),
    scored(7, "random_words", {"text": "a b", "title": "y"}),
    scored(8, "premise", {"text": "", "title": ""}),
    scored(9, "shot", {"text": "fine", "title": ""}, row=31, reference="yes"),
    scored(10, "shot", {"text": "bad\u2028line", "title": ""}, row=4, reference="no"),
    scored(11, "unlabelled", {"text": "u", "title": ""}, row=0, file="more.jsonl"),
]


def select(needs: Needs, rows: tuple[int, ...] = (5, 7)) -> Any:
    return ScoredInputs(STORED, LABELS).select(needs, rows)


def numbers(scores: Any) -> Any:
    """Which inputs' scores these are."""
    assert scores.log_probs.shape == scores.token_counts.shape
    np.testing.assert_array_equal(-scores.log_probs[..., 0], scores.token_counts[..., 0])
    return scores.token_counts[..., 0].tolist()


def test_through_a_file_they_come_back_as_they_were(tmp_path: Path) -> None:
    write_support(tmp_path, (one.as_item() for one in STORED))
    back = [ScoredInput.from_item(item) for item in read_support(tmp_path)]
    assert [one.input for one in back] == [one.input for one in STORED]
    for have, want in zip(back, STORED, strict=True):
        np.testing.assert_array_equal(have.log_probs, want.log_probs)
        np.testing.assert_array_equal(have.token_counts, want.token_counts)


def test_numbers_come_back_to_the_last_digit(tmp_path: Path) -> None:
    log_probs = np.log(np.random.default_rng(0).random(100))
    one = ScoredInput(SupportInput("premise", {}, prompt="It was"), log_probs, np.ones(100, dtype=np.int64))
    write_support(tmp_path, [one.as_item()])
    (back,) = map(ScoredInput.from_item, read_support(tmp_path))
    np.testing.assert_array_equal(back.log_probs, log_probs)
    assert back.input == one.input


def test_an_impossible_label_is_null_in_the_file_and_impossible_again_after_it(tmp_path: Path) -> None:
    one = ScoredInput(SupportInput("premise", {}), np.array([-math.inf, -1.0]), np.array([1, 1]))
    path = write_support(tmp_path, [one.as_item()])
    assert json.loads(path.read_text(encoding="utf-8"))["scores"] == [None, -1.0]
    (back,) = map(ScoredInput.from_item, read_support(tmp_path))
    np.testing.assert_array_equal(back.log_probs, [-math.inf, -1.0])


def test_a_line_says_what_was_scored_and_nothing_empty() -> None:
    assert STORED[0].as_item() == {
        "kind": "content_free",
        "inputs": {"text": "N/A", "title": "N/A"},
        "scores": [-1.0, -1.5],
        "token_counts": [1, 1],
    }
    assert {"row": 31, "reference": "yes"}.items() <= STORED[8].as_item().items()
    assert STORED[2].as_item()["test_row"] == 7


def test_content_free_inputs_are_found_by_their_text_in_the_order_asked_for() -> None:
    assert numbers(select(Needs(content_free=("", "N/A"))).content_free) == [2, 1]


def test_scores_per_prompt_are_in_the_order_of_the_test_rows() -> None:
    assert numbers(select(Needs(content_free=("N/A",), per_prompt=True)).content_free) == [[4], [3]]
    assert numbers(select(Needs(content_free=("N/A",), per_prompt=True), (7, 5)).content_free) == [[3], [4]]


def test_random_words_are_the_first_so_many_even_where_two_are_the_same() -> None:
    assert numbers(select(Needs(random_words=2)).random_words) == [5, 6]
    assert numbers(select(Needs(random_words=3)).random_words) == [5, 6, 7]


def test_shots_come_with_their_labels() -> None:
    found = select(Needs(shots=True))
    assert numbers(found.shots) == [9, 10]
    assert found.shot_labels.tolist() == [1, 0]


def test_premise_and_unlabelled_file_are_found() -> None:
    assert numbers(select(Needs(premise=True)).premise) == [8]
    assert numbers(select(Needs(unlabelled="more.jsonl")).unlabelled) == [11]


def test_what_is_not_needed_is_empty() -> None:
    found = ScoredInputs([], LABELS).select(Needs(), (5, 7))
    for name in ("content_free", "random_words", "premise", "shots", "unlabelled"):
        assert getattr(found, name).log_probs.shape == (0, 2)
    assert found.shot_labels.shape == (0,)


MISSING: list[tuple[Needs, tuple[str, ...]]] = [
    (Needs(content_free=("nothing",)), ("content-free input 'nothing'",)),
    (Needs(content_free=("",), per_prompt=True), ("content-free input ''", "test row's own in-context examples")),
    (Needs(random_words=4), ("4 inputs of random words", "there are 3")),
    (Needs(random_words=1, per_prompt=True), ("1 inputs of random words", "own in-context examples")),
    (Needs(unlabelled="other.jsonl"), ("'other.jsonl'",)),
]


@pytest.mark.parametrize(("needs", "parts"), MISSING, ids=[parts[0] for _, parts in MISSING])
def test_what_is_missing_is_named_with_the_fix(needs: Needs, parts: tuple[str, ...]) -> None:
    with pytest.raises(MissingScores) as caught:
        select(needs)
    assert all(part in caught.value.message for part in parts)
    assert caught.value.hint == "run the experiment with this calibration and normalisation in its config"


@pytest.mark.parametrize(
    ("needs", "what", "how"),
    [(Needs(shots=True), "the shots", "inference.score_shots=true"), (Needs(premise=True), "the premise", "config")],
)
def test_whole_kinds_that_are_missing_are_named_too(needs: Needs, what: str, how: str) -> None:
    with pytest.raises(MissingScores, match=what) as caught:
        ScoredInputs([], LABELS).select(needs, (5,))
    assert how in (caught.value.hint or "")


def test_they_are_counted_by_kind() -> None:
    assert ScoredInputs(STORED, LABELS).counts() == {
        "content_free": 4, "random_words": 3, "premise": 1, "shot": 2, "unlabelled": 1,
    }  # fmt: skip

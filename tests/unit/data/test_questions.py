"""Which questions about labels are asked in training and shown as examples."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from sft.config.schema import LabelQuestionConfig
from sft.data.example import LabelSet
from sft.data.questions import Questions
from tests.multilabel_tasks import LABEL_SET, LABELS, examples

QUESTIONS = Questions(LABEL_SET, LabelQuestionConfig(name="emotion", yes="Y", no="N"))
HELD = np.random.default_rng(5).random((30, 3)) < [0.2, 0.9, 0.5]
POOL = examples([np.flatnonzero(row).tolist() for row in HELD])


def test_a_question_has_the_label_as_its_last_input_and_yes_or_no_as_its_label() -> None:
    (row,) = examples([[0, 2]])
    asked = QUESTIONS.of(row)
    assert [list(question.inputs.items()) for question in asked] == [
        [("text", "text 0"), ("emotion", name)] for name in LABELS
    ]
    assert [QUESTIONS.answers.verbalisations[question.label or 0] for question in asked] == ["Y", "N", "Y"]


def test_white_space_around_a_verbalisation_is_not_shown() -> None:
    questions = Questions(LabelSet(("a",), (" joy ",), exclusive=False), LabelQuestionConfig())
    assert questions.about(POOL[0], 0).inputs["label"] == "joy"


def test_training_asks_about_every_label_that_a_row_holds_and_as_often_about_rows_without_it() -> None:
    asked = [(row.row, question.inputs["emotion"], question.label) for row, question in QUESTIONS.balanced(POOL, 1)]
    assert len(set(asked)) == len(asked)
    yes = {(row, name) for row, name, answer in asked if answer == 1}
    assert yes == {(row, LABELS[label]) for row, label in zip(*np.nonzero(HELD), strict=True)}
    no = Counter(name for _, name, answer in asked if answer == 0)
    held, without = HELD.sum(axis=0), (~HELD).sum(axis=0)
    assert no == {name: min(held[i], without[i]) for i, name in enumerate(LABELS)}
    assert all(not HELD[row, LABELS.index(name)] for row, name, answer in asked if answer == 0)
    assert [row for row, _, _ in asked] == sorted(row for row, _, _ in asked)


def test_the_seed_draws_the_rows_without_a_label() -> None:
    first, again, other = ([question for _, question in QUESTIONS.balanced(POOL, seed)] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_examples_are_answered_yes_and_no_in_turn_whatever_is_asked_after_them() -> None:
    shown = QUESTIONS.shown(POOL[:20], seed=1)
    for place, (row, question) in enumerate(zip(POOL[:20], shown, strict=True)):
        assert question.row == row.row
        assert question.label == int(row.has(LABELS.index(question.inputs["emotion"])))
        if 0 < len(row.labels or ()) < 3:
            assert question.label == (place + 1) % 2
    assert QUESTIONS.shown(POOL[:20], seed=1) == shown
    assert QUESTIONS.shown(POOL[:20], seed=2) != shown


@pytest.mark.parametrize("labels", [[], [0, 1, 2]])
def test_a_row_with_no_label_or_with_all_is_shown_with_the_only_answer_it_has(labels: list[int]) -> None:
    shown = QUESTIONS.shown(examples([labels, labels]), seed=1)
    assert [question.label for question in shown] == [int(bool(labels))] * 2

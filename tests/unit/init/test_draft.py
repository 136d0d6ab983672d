"""What is drafted for a model to read."""

from __future__ import annotations

import pytest

from sft.init.draft import drafted_instruction, input_limit
from sft.init.task import Task


def task_with(output: str = "label", longest_inputs: tuple[int, ...] = (9,)) -> Task:
    return Task(
        path="data", args={}, task_type="classification", inputs=("Message text",), output=output, candidates=(),
        separator=None, labels={"0": "bad", "1": "good"}, counts={}, train=8, test=2,
        longest_inputs=longest_inputs, longest_output=4, written=None, reasons=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("column", "instruction"),
    [
        ("label", "Classify the message text as bad or good."),
        ("sentiment", "Classify the sentiment of the message text as bad or good."),
        ("mainTopic", "Classify the main topic of the message text as bad or good."),
        ("how was it", "Classify the message text as bad or good."),
    ],
)
def test_the_instruction_names_what_is_answered_where_the_column_does(column: str, instruction: str) -> None:
    assert drafted_instruction(task_with(output=column)) == instruction


@pytest.mark.parametrize(
    ("characters", "limit"),
    [
        ((1024,), None),
        ((1026,), 512),
        ((900, 100), None),  # 450 and 50 tokens
        ((2000, 100), 462),  # the question's 50 tokens stay, the paragraph gets the rest
        ((100, 2000), 462),
        ((2000, 2000), 256),
        ((20, 2000, 2000), 251),
    ],
)
def test_short_columns_leave_their_share_to_long_ones(characters: tuple[int, ...], limit: int | None) -> None:
    assert input_limit(task_with(longest_inputs=characters)) == limit

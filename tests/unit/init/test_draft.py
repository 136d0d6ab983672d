"""What is drafted for a model to read."""

from __future__ import annotations

import pytest

from sft.init.draft import drafted_instruction
from sft.init.task import Task


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
    task = Task(
        path="data", args={}, task_type="classification", inputs=("Message text",), output=column, candidates=(),
        separator=None, labels={"0": "bad", "1": "good"}, counts={}, train=8, test=2,
        longest_input=9, longest_output=4, written=None, reasons=(),
    )  # fmt: skip
    assert drafted_instruction(task) == instruction

"""When the end-of-turn is scored after labels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sft.inference.label_end import scored_end
from sft.prompting.build import LabelPrompt

EOT = 99
DISJOINT = [[1, 2], [1, 3], [4]]


def layout(name: str) -> Any:
    return SimpleNamespace(name=name, eot_id=EOT, prefix_ids=[], separator=None)


@pytest.mark.parametrize(
    ("choice", "format_name", "labels", "expected"),
    [
        ("auto", "chat", DISJOINT, EOT),
        ("auto", "plain", DISJOINT, None),
        ("auto", "plain", [[1, 2, 3], [7], [1, 2]], EOT),
        ("auto", "plain", [[1], [0, 1], [2, 1]], None),
        ("auto", "plain", [[5, 6], [5], [5, 1], [2]], EOT),
        ("auto", "plain", [[1], [1]], EOT),
        ("auto", "plain", [[1]], None),
        ("auto", "chat", [[1, 2], [1]], EOT),
        ("eot", "plain", DISJOINT, EOT),
        ("eot", "chat", DISJOINT, EOT),
        ("none", "chat", DISJOINT, None),
        ("none", "plain", [[1], [1, 2]], None),
    ],
)
def test_the_end_of_turn_is_scored_by_rule(
    choice: Any, format_name: str, labels: list[list[int]], expected: int | None
) -> None:
    assert scored_end(choice, layout(format_name), LabelPrompt([0], labels)) == expected


def test_every_pair_of_labels_is_compared_for_prefixes() -> None:
    """The longer label need not be the next one in sorted order."""
    labels = [[1], *([1, i, i] for i in range(2, 12))]
    assert scored_end("auto", layout("plain"), LabelPrompt([0], labels)) == EOT
    assert scored_end("auto", layout("plain"), LabelPrompt([0], labels[1:])) is None

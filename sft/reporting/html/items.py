"""Test rows with their answers, as many as there is room for: errors first."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sft.reporting.right import references_of, shown_answer

MOST_RIGHT = 200
_MOST_CHARACTERS = 1500
_MOST_LABELS = 5


class ShownItem(NamedTuple):
    """classes: of its references and its answer, by which items are filtered. probabilities: the largest ones.
    generated: the whole text, where the answer was read out of it.
    """

    row: int
    right: bool
    inputs: Mapping[str, str]
    references: Sequence[str]
    answer: str
    classes: Sequence[str]
    probabilities: Sequence[tuple[str, float]]
    generated: str | None
    problem: str | None


class Choice(NamedTuple):
    """rows: what was rendered, in the order of test rows. errors, others: how many are shown, of how many."""

    rows: Sequence[str]
    errors: tuple[int, int]
    others: tuple[int, int]

    @property
    def about(self) -> str:
        """What is shown, and what isn't."""
        wrong, right = _said(self.errors, "errors"), _said(self.others, "others")
        all_errors = self.errors[0] == self.errors[1]
        how = "" if self.others[0] == self.others[1] else (" (a random sample)" if all_errors else "")
        more = "" if all_errors else " (a random sample: all of them would make the file too large)"
        return f"Shown: {wrong}{more}, {right}{how}."


def shown_item(item: Mapping[str, Any], right: bool, labels: Sequence[str] | None) -> ShownItem:
    """labels: of the task; None where rows have none or candidates of their own."""
    answer, references = item["prediction"], references_of(item)
    answers = answer if isinstance(answer, list) else [answer]
    generated = item.get("generated")
    return ShownItem(
        row=item["row"],
        right=right,
        inputs={column: cut(str(text)) for column, text in item["inputs"].items()},
        references=[cut(text) for text in references],
        answer=cut(shown_answer(answer)),
        classes=[label for label in labels or () if label in references or label in answers],
        probabilities=_largest(item.get("probabilities"), labels or item.get("candidates") or ()),
        generated=None if generated is None or generated == answer else cut(generated),
        problem=item.get("problem"),
    )


def choose_items(right: Sequence[bool], budget: int, seed: str, render: Callable[[int], str]) -> Choice:
    """All errors, then a sample of the others, within `budget` bytes; a sample of the errors where they are too many.

    right: [N], of each item. render: an item, by its place among all.
    """
    wrong = [place for place, is_right in enumerate(right) if not is_right]
    others = [place for place, is_right in enumerate(right) if is_right]
    draw = random.Random(seed)
    draw.shuffle(wrong)
    draw.shuffle(others)
    kept_wrong, left = _fitting(wrong, budget, render)
    room = left if len(kept_wrong) == len(wrong) else 0
    kept_others, _ = _fitting(others[:MOST_RIGHT], room, render)
    rows = [text for _, text in sorted([*kept_wrong, *kept_others])]
    return Choice(rows, (len(kept_wrong), len(wrong)), (len(kept_others), len(others)))


def cut(text: str) -> str:
    """A long text's beginning, and how much follows."""
    left = len(text) - _MOST_CHARACTERS
    return text if left <= 0 else f"{text[:_MOST_CHARACTERS]}… ({left:,} more characters)"


def _fitting(places: Sequence[int], budget: int, render: Callable[[int], str]) -> tuple[list[tuple[int, str]], int]:
    """Place and text of the items before the first that doesn't fit, and the bytes that are left."""
    kept = []
    for place in places:
        text = render(place)
        size = len(text.encode())
        if size > budget:
            break
        budget -= size
        kept.append((place, text))
    return kept, budget


def _largest(probabilities: Sequence[float] | None, names: Sequence[str]) -> list[tuple[str, float]]:
    if not probabilities:
        return []
    pairs = sorted(zip(names, probabilities, strict=True), key=lambda pair: -pair[1])
    return [(cut(name), p) for name, p in pairs[:_MOST_LABELS]]


def _said(shown: tuple[int, int], what: str) -> str:
    return f"all {shown[1]} {what}" if shown[0] == shown[1] else f"{shown[0]} of {shown[1]} {what}"

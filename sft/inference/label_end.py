"""Whether the end-of-turn token is scored after a label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from sft.prompting.build import LabelPrompt
from sft.prompting.format import PromptFormat


def scored_end(
    choice: Literal["auto", "eot", "none"], prompt_format: PromptFormat, bare_labels: LabelPrompt
) -> int | None:
    """The token scored after every label, or None.

    `auto` depends on model and labels only, so that trained and untrained runs are scored alike: the end-of-turn with
    a chat template; in the plain format only where one label is a prefix of another ("card", "card lost"), which
    would otherwise always win.
    """
    ends = choice == "eot" or (choice == "auto" and (prompt_format.name == "chat" or one_is_prefix(bare_labels.labels)))
    return prompt_format.eot_id if ends else None


def one_is_prefix(labels: Sequence[Sequence[int]]) -> bool:
    """Whether a label's tokens begin another's. In sorted order such a pair has neighbours of the kind."""
    ordered = sorted(map(tuple, labels))
    return any(b[: len(a)] == a for a, b in pairwise(ordered))

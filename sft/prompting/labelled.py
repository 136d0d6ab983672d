"""A training sequence as a loss sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

IGNORED = -100
"""The label of positions that are not in the loss."""


class LabelledIds(NamedTuple):
    """Token ids, and the token to predict at each position (`IGNORED`: none)."""

    ids: Sequence[int]
    labels: Sequence[int]

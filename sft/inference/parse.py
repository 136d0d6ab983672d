"""From a generated answer to a label."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from sft.label_scores import INVALID


def parse_label(text: str, verbalisations: Sequence[str]) -> int:
    """The index of the label that an answer names, `INVALID` if none.

    The answer is the label, or begins with it and goes on after a word boundary ("positive, because …"); of several
    labels that fit, the longest. Case, Unicode form and runs of white space don't matter.
    """
    answer = _normalised(text)
    fits = [
        (len(label), i)
        for i, label in enumerate(map(_normalised, verbalisations))
        if re.match(re.escape(label) + r"(?!\w)", answer)
    ]
    return max(fits)[1] if fits else INVALID


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

"""The answer inside a text: what a pattern finds there last."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return pattern


AnswerPattern = Annotated[str, AfterValidator(_compiles)]


def extracted(text: str, pattern: str) -> str | None:
    """The last match of the pattern: its first group where it has groups, else all of it; without white space around.

    None where the pattern matches nowhere (or its first group took no part). Chains of thought name many numbers, and
    the answer comes last (lm-evaluation-harness's gsm8k, after Cobbe et al. 2021, takes what follows "####").
    """
    matches = list(re.finditer(pattern, text))
    if not matches:
        return None
    found = matches[-1]
    answer = found[1] if found.re.groups else found[0]
    return None if answer is None else answer.strip()


def compared_texts(prediction: str, references: list[str], pattern: str | None) -> tuple[str | None, list[str]]:
    """What metrics compare: the texts themselves, or what the pattern finds in them.

    A reference in which it finds nothing is the answer itself. A prediction without an answer is None.
    """
    if pattern is None:
        return prediction, references
    answers = []
    for reference in references:
        answer = extracted(reference, pattern)
        answers.append(reference if answer is None else answer)
    return extracted(prediction, pattern), answers

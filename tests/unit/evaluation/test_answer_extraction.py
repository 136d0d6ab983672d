"""The answer inside a text, and the metrics of it."""

from __future__ import annotations

import pytest

from sft.evaluation.extraction import extracted
from sft.evaluation.metrics import compute_metrics
from sft.evaluation.outcome import GenerationOutcome

GSM8K = r"#### (\-?[0-9\.\,]+)"  # lm-evaluation-harness's
# A published answer of GSM8K (Cobbe et al. 2021).
NATALIA = (
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
    "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72"
)


@pytest.mark.parametrize(
    ("text", "pattern", "answer"),
    [
        (NATALIA, GSM8K, "72"),
        ("#### 1\nno, wait: #### -2,000.5 or so", GSM8K, "-2,000.5"),
        ("the answer is 7", GSM8K, None),
        ("first 7 then 9 apples", r"\d+", "9"),
        ("Answer:  yes \nAnswer: no  ", r"Answer:(.*)", "no"),
        ("left or right", r"(up)|right", None),
        ("الجواب: ٤٢", r"الجواب: (\w+)", "٤٢"),
        ("", r".*", ""),
    ],
)
def test_the_answer_is_the_last_match(text: str, pattern: str, answer: str | None) -> None:
    assert extracted(text, pattern) == answer


def test_what_is_compared_is_the_answer_of_text_and_reference() -> None:
    outcome = GenerationOutcome(
        [[NATALIA], [NATALIA], ["72"], ["#### 5"], [""]],
        ["48 + 24 is 72.\n#### 72", "72", "so #### 72", "#### 6", "nothing"],
    )
    results = compute_metrics(outcome, ["exact_match", "token_f1", "no_answer"], {"answer_pattern": GSM8K})
    assert results == {"exact_match": 0.4, "token_f1": 0.4, "no_answer_rate": 0.4}


def test_without_a_pattern_whole_texts_are_compared() -> None:
    outcome = GenerationOutcome([["#### 72"], ["72"]], ["so #### 72", "72"])
    results = compute_metrics(outcome, ["exact_match", "no_answer"], {})
    assert results == {"exact_match": 0.5}

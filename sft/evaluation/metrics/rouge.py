"""ROUGE, as Google's rouge_score computes it."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from sft.evaluation.metrics.base import metric
from sft.evaluation.metrics.tokenizer import load_tokenize
from sft.evaluation.outcome import GenerationOutcome

logger = logging.getLogger(__name__)

_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@metric("rouge", task_type="generation", default=True)
def rouge(
    outcome: GenerationOutcome, *, tokenizer_name: str | None = None, use_stemmer: bool = False
) -> dict[str, Any]:
    """F1 of ROUGE-1, -2, -L and -Lsum, from 0 to 1: for each, the best over a row's references, mean over rows.

    Lin 2004. ROUGE-L compares whole texts, ROUGE-Lsum their lines. rouge_score lowercases and keeps nothing but a-z and
    0-9, so that identical Arabic or Chinese texts score 0: name a Hugging Face tokenizer (folder or hub id) there.
    use_stemmer: strip English suffixes (Porter) from rouge_score's words; without effect on a tokenizer's tokens.
    """
    from rouge_score.rouge_scorer import RougeScorer

    if tokenizer_name is not None and use_stemmer:
        logger.warning("evaluation.use_stemmer has no effect on the tokens of evaluation.tokenizer_name")
    if tokenizer_name is None:
        _warn_of_other_scripts(outcome)
    tokenizer = None if tokenizer_name is None else _Tokenizer(tokenizer_name)
    scorer = RougeScorer(_KINDS, use_stemmer=use_stemmer, tokenizer=tokenizer)
    rows = [
        scorer.score_multi(references, prediction)
        for prediction, references in zip(outcome.predictions, outcome.references, strict=True)
    ]
    return {kind: float(sum(row[kind].fmeasure for row in rows) / len(rows)) for kind in _KINDS}


def _warn_of_other_scripts(outcome: GenerationOutcome) -> None:
    """Say how many rows score 0 whatever is answered."""
    unread = [all(_is_of_another_script(text) for text in texts) for texts in outcome.references]
    if any(unread):
        logger.warning(
            "ROUGE reads a-z and 0-9 only, of which the references of %d of %d rows have none: these rows score 0 "
            "whatever is answered; name a tokenizer in evaluation.tokenizer_name",
            sum(unread),
            len(unread),
        )


def _is_of_another_script(text: str) -> bool:
    return any(c.isalnum() for c in text) and not any(c.isascii() and c.isalnum() for c in text)


class _Tokenizer(NamedTuple):
    """A Hugging Face tokenizer in the form that rouge_score takes."""

    name: str

    def tokenize(self, text: str) -> list[str]:
        return load_tokenize(self.name)(text)

"""chrF, as sacreBLEU computes it."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from sft.evaluation.metrics.base import metric
from sft.evaluation.outcome import GenerationOutcome


@metric("chrf", task_type="generation", default=True)
def chrf(outcome: GenerationOutcome) -> dict[str, Any]:
    """Corpus chrF2 (character n-grams up to 6) from 0 to 100, and sacreBLEU's signature (Popović 2015, Post 2018).

    It needs no tokenizer and so works in any language. Of a row's references, whose number may differ from row to row,
    the one with the best score counts.
    """
    from sacrebleu.metrics.chrf import CHRF

    scorer = CHRF()
    # sacreBLEU wants all first references, then all second ones, with None where a row has no more
    score = scorer.corpus_score(outcome.predictions, list(zip_longest(*outcome.references)))
    return {"chrf": float(score.score), "chrf_signature": str(scorer.get_signature())}

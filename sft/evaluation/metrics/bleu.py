"""BLEU, as sacreBLEU computes it."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from sft.evaluation.metrics.base import metric
from sft.evaluation.metrics.tokenizer import load_tokenize
from sft.evaluation.outcome import GenerationOutcome


@metric("bleu", task_type="generation", default=True)
def bleu(outcome: GenerationOutcome, *, tokenizer_name: str | None = None) -> dict[str, Any]:
    """Corpus BLEU from 0 to 100, and sacreBLEU's signature, which says how it was computed (Post 2018).

    Rows may have different numbers of references. tokenizer_name: a Hugging Face tokenizer (local folder or hub id)
    instead of sacreBLEU's `13a`; the signature names it. Precision goes up to 4-grams, so BLEU is 0 where every answer
    is shorter than four words, however right: use chrF or token F1 there.
    """
    from sacrebleu.metrics.bleu import BLEU

    predictions, references = outcome.predictions, outcome.references
    if tokenizer_name is None:
        scorer = BLEU()
    else:
        tokenize = load_tokenize(tokenizer_name)
        predictions = [" ".join(tokenize(text)) for text in predictions]
        references = [[" ".join(tokenize(text)) for text in texts] for texts in references]
        scorer = BLEU(tokenize="none", force=True)  # force: tokenized text is meant here, don't warn of it
    # sacreBLEU wants all first references, then all second ones, with None where a row has no more
    score = scorer.corpus_score(predictions, list(zip_longest(*references)))
    signature = scorer.get_signature()
    if tokenizer_name is not None:
        signature.update("tok", tokenizer_name)
    return {"bleu": float(score.score), "bleu_signature": str(signature)}

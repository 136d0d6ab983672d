"""Log-likelihoods of continuations: those of one context are one tree, and what contexts begin with is read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sft.inference.batching import BatchSize
from sft.inference.label_scorer import LabelScorer
from sft.lm_eval.greedy import Scored, Tokens, beginnings, greedy
from sft.models.load import LoadedModel
from sft.prompting.build import LabelPrompt


class Request(NamedTuple):
    """context: at least one token. continuation: likewise."""

    context: Tokens
    continuation: Tokens


class Likelihood(NamedTuple):
    """What the harness wants of a request."""

    log_prob: float
    is_greedy: bool


def likelihoods(
    loaded: LoadedModel, scorer: LabelScorer, requests: Sequence[Request], batch_size: BatchSize
) -> list[Likelihood]:
    """In the order of the requests."""
    rows = _scored(scorer, requests, beginnings)
    found = dict(zip([row.context for row in rows], greedy(loaded, rows, batch_size), strict=True))
    log_probs = {row.context: row.log_probs for row in rows}
    return [
        Likelihood(log_probs[context][continuation], continuation in found[context])
        for context, continuation in requests
    ]


def log_likelihoods(scorer: LabelScorer, requests: Sequence[Request]) -> list[float]:
    """Of requests of which nobody wants to know whether they are greedy."""
    log_probs = {row.context: row.log_probs for row in _scored(scorer, requests, lambda continuations: [])}
    return [log_probs[context][continuation] for context, continuation in requests]


def _scored(
    scorer: LabelScorer, requests: Sequence[Request], also: Callable[[Sequence[Tokens]], list[Tokens]]
) -> list[Scored]:
    """One for every context. also: what to score beside the continuations of one."""
    by_context: dict[Tokens, dict[Tokens, None]] = {}
    for context, continuation in requests:
        by_context.setdefault(context, {})[continuation] = None
    if not by_context:
        return []
    asked = {context: list(found) for context, found in by_context.items()}
    every = {context: list(dict.fromkeys([*found, *also(found)])) for context, found in asked.items()}
    prompts = [LabelPrompt(list(context), [list(ids) for ids in labels]) for context, labels in every.items()]
    scores = scorer.score(prompts, None)
    return [
        Scored(context, asked[context], dict(zip(labels, scores.row(i).log_probs.tolist(), strict=True)))
        for i, (context, labels) in enumerate(every.items())
    ]

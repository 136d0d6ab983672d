"""Which engine scores a model right: found out by trying, on prompts of the task itself.

No list of architectures says what a new one does with positions, windows, states or caches. So the engines are tried
from the fastest to the plainest on two of the task's prompts, the longest among them (windows and chunks that it
crosses are crossed in the trial), and the first one that agrees with the plain way is taken.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sft.inference.engines import EngineOptions, engine_registry
from sft.inference.label_tree import LabelTree, label_tree
from sft.inference.shared_prefixes import MIN_SHARED, ScoringRow, common_length
from sft.inference.tolerance import compare, is_16_bit
from sft.inference.unsupported import UnsupportedModelError
from sft.models.load import LoadedModel

logger = logging.getLogger(__name__)

PLAIN = "naive"
PREFERENCE = ("tree", "cache", "cache_stepwise", PLAIN)
_TRIAL_LABELS = 3


@dataclass(frozen=True)
class EngineChoice:
    """The engine to use, and why.

    difference: the largest one to the plain scores, in nats; None where nothing was compared. tolerance: what was
    allowed for that score. rejected: engine → reason, for those preferred to the chosen one.
    """

    engine: str
    reason: str
    difference: float | None = None
    tolerance: float | None = None
    rejected: dict[str, str] = field(default_factory=dict)


def choose_engine(loaded: LoadedModel, rows: Sequence[ScoringRow], options: EngineOptions) -> EngineChoice:
    """Try the engines in order of preference on two prompts of `rows`."""
    options = replace(options, compile=False)
    trial = trial_rows(rows)
    if sum(len(row.tree.labels) for row in rows) <= sum(len(row.tree.labels) for row in trial):
        return EngineChoice(PLAIN, "there is too little to score for a comparison to pay")
    plain = _PlainScores(loaded, trial, options)
    rejected: dict[str, str] = {}
    for name in PREFERENCE[:-1]:
        found = _try(name, loaded, trial, plain, options)
        if isinstance(found, EngineChoice):
            logger.info("labels are scored by the engine %r: %s", name, found.reason)
            return replace(found, rejected=rejected)
        logger.info("the engine %r is not used: %s", name, found)
        rejected[name] = found
    return EngineChoice(PLAIN, "no faster engine gives the same scores", rejected=rejected)


class _PlainScores:
    """What the plain engine says of the trial."""

    def __init__(self, loaded: LoadedModel, trial: Sequence[ScoringRow], options: EngineOptions) -> None:
        self._loaded, self._trial = loaded, trial
        self.scores = engine_registry[PLAIN](loaded, options)(trial)

    @cached_property
    def alone(self) -> NDArray[np.float64]:
        """The same when every sequence is a batch of its own."""
        return engine_registry[PLAIN](self._loaded, EngineOptions(batch_size=1))(self._trial)


def _try(
    name: str, loaded: LoadedModel, trial: Sequence[ScoringRow], plain: _PlainScores, options: EngineOptions
) -> EngineChoice | str:
    """The choice if the engine agrees, else the reason why not."""
    if name != "tree" and _keeps_a_state(loaded) and is_16_bit(loaded.model.dtype):
        return "in 16 bits, rounding hides whether a state is continued rightly"
    try:
        scores = engine_registry[name](loaded, options)(trial)
    except UnsupportedModelError as error:
        return str(error)
    except Exception as error:  # an architecture nobody foresaw may fail anywhere; a slower engine still serves it
        return f"{type(error).__name__}: {error}".split("\n")[0]
    found = compare(scores, plain.scores, lambda: plain.alone, loaded.model.dtype)
    reason = f"{found} on two prompts"
    return EngineChoice(name, reason, found.difference, found.allowed) if found.agrees else reason


def _keeps_a_state(loaded: LoadedModel) -> bool:
    """Whether some layer continues a state instead of attending to all that came before."""
    config: Any = loaded.base_model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None) or ())
    attends = {"full_attention", "sliding_attention", "chunked_attention", "attention"}
    return bool(getattr(loaded.base_model, "_is_stateful", False)) or not kinds <= attends


def trial_rows(rows: Sequence[ScoringRow]) -> list[ScoringRow]:
    """The longest prompt and a short one that begins alike, with few labels that branch where any do."""
    longest = max(rows, key=lambda row: len(row.prompt))
    others = [row for row in rows if row is not longest]
    alike = [row for row in others if common_length(row.prompt, longest.prompt) >= MIN_SHARED]
    chosen = [longest, *sorted(alike or others, key=lambda row: len(row.prompt))[:1]]
    trees = [_trial_tree(row.tree) for row in chosen]
    fewest = min(len(tree.labels) for tree in trees)  # rows may have different numbers, scores are compared one by one
    return [row._replace(tree=_tree_of(tree, range(fewest))) for row, tree in zip(chosen, trees, strict=True)]


def _trial_tree(tree: LabelTree) -> LabelTree:
    """The longest label, the one that shares most with it, and the shortest of the rest."""
    longest, *others = sorted(range(len(tree.labels)), key=lambda i: -len(tree.labels[i]))
    others.sort(key=lambda i: (-_shared(tree.labels[i], tree.labels[longest]), len(tree.labels[i])))
    nearest, rest = others[:1], sorted(others[1:], key=lambda i: len(tree.labels[i]))
    chosen = [longest, *nearest, *rest[: _TRIAL_LABELS - 2]]
    return _tree_of(tree, chosen)


def _tree_of(tree: LabelTree, labels: Sequence[int]) -> LabelTree:
    """Some labels of a tree, by their places."""
    return label_tree([tree.labels[i] for i in labels], given=[tree.given[i] for i in labels])


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))

"""Exact log-probabilities of labels after prompts: what the rest of the package uses.

The engines know how a model is run; what comes out is `LabelScores`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sft.common_start import common_start
from sft.distributed import gathered, on_main, own_part, world_size
from sft.errors import ModelError, NotANumberError, PromptError
from sft.inference.batching import BatchSize
from sft.inference.capability import EngineChoice, choose_engine
from sft.inference.engines import Engine, EngineOptions, RowsOfScores, engine_registry
from sft.inference.label_tree import IntArray, LabelTree, label_tree
from sft.inference.shards import Shards, key_of, parts
from sft.inference.shared_prefixes import ScoringRow, by_beginning, scoring_row
from sft.inference.unsupported import UnsupportedModelError
from sft.label_scores import LabelScores
from sft.models.load import LoadedModel
from sft.prompting.build import LabelPrompt

# Half a minute on a CPU with a model of 0.1 GB, some seconds on a GPU with one of 14 GB.
_TOKENS_IN_SHARD = 1 << 17

EngineName = Literal["auto", "tree", "cache", "cache_stepwise", "naive"]


class LabelScorer:
    """Scores all labels of all prompts, by the fastest engine that is right for the model.

    engine: `auto` compares on first use, and again when prompts get longer than those compared; or the name of an
    engine, which is then used without a comparison. compile: see `EngineOptions`. shards: where finished parts are
    kept; what is there already isn't scored again.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        batch_size: BatchSize = "auto",
        engine: EngineName = "auto",
        compile: bool | Literal["auto"] = "auto",
        shards: Shards | None = None,
    ) -> None:
        self._loaded = loaded
        self._shards = shards
        self._options = EngineOptions(batch_size, compile)
        self._engines: dict[str, Engine] = {}
        self._given = None if engine == "auto" else EngineChoice(engine, "the config names it")
        self._choice = self._given
        self._compared_length = 0

    def score(self, prompts: Sequence[LabelPrompt], end_id: int | Sequence[int | None] | None) -> LabelScores:
        """end_id: the token scored after each label (see `label_end`), or None; or one of these for each prompt.

        Prompts may have different numbers of labels. Identical prompts are scored once. Raises `PromptError` for a
        prompt without any token, `NotANumberError` for scores that are no numbers.
        """
        if not all(prompt.prompt for prompt in prompts):
            raise PromptError(
                "a prompt has no token before its answer, so the answer's first token can't be scored",
                "set prompting.instruction, or begin prompting.template with words",
            )
        rows: list[ScoringRow] = []
        known: dict[tuple[bytes, LabelTree], int] = {}
        places = []
        ends = end_id if isinstance(end_id, Sequence) else [end_id] * len(prompts)
        for prompt, end, ids in zip(prompts, ends, _arrays([prompt.prompt for prompt in prompts]), strict=True):
            row = scoring_row(ids, label_tree(prompt.labels, end, prompt.given))
            place = known.setdefault((row.key, row.tree), len(rows))
            if place == len(rows):
                rows.append(row)
            places.append(place)
        engine = self._engine(self._choose(rows).engine)
        scores = _divided(engine, rows, self._shards)[places]
        if np.isnan(scores).any():
            raise NotANumberError(
                "the model gives label scores that are no numbers",
                "another model_args.dtype may help (float16 overflows easily); or train the adapter again",
            )
        counts = np.zeros(scores.shape, dtype=np.int64)
        for i, prompt in enumerate(prompts):
            given = prompt.given or [0] * len(prompt.labels)
            counts[i, : len(prompt.labels)] = [len(ids) - n for ids, n in zip(prompt.labels, given, strict=True)]
        return LabelScores(scores, counts)

    def report(self) -> dict[str, Any]:
        """Which engine was used and why, for the record."""
        if self._choice is None:
            return {}
        return {**asdict(self._choice), "compiled": self._engine(self._choice.engine).compiled}

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            try:
                self._engines[name] = engine_registry[name](self._loaded, self._options)
            except UnsupportedModelError as error:
                raise ModelError(f"inference.scorer: {name!r} can't score this model: {error}", "use auto") from error
        return self._engines[name]

    def _choose(self, rows: Sequence[ScoringRow]) -> EngineChoice:
        longest = max(len(row.prompt) for row in rows)
        if self._given is not None:
            return self._given
        if self._choice is None or longest > self._compared_length:
            self._choice = on_main(lambda: choose_engine(self._loaded, rows, self._options))
            self._compared_length = longest
        return self._choice


def _divided(engine: Engine, rows: Sequence[ScoringRow], shards: Shards | None) -> NDArray[np.float64]:
    """[rows, labels], as engines give them, of all rows in every process; each has scored a part of them."""
    if world_size() == 1:
        return _scored(engine, rows, shards)
    order, to_read = by_beginning(rows)
    own = order[own_part(to_read)]
    scored = _scored(engine, [rows[i] for i in own], shards) if own else RowsOfScores(rows).values[:0]
    scores = RowsOfScores(rows).values
    for places, values in gathered((own, scored)):
        scores[places, : values.shape[1]] = values
    return scores


def _scored(engine: Engine, rows: Sequence[ScoringRow], shards: Shards | None) -> NDArray[np.float64]:
    return engine(rows) if shards is None else _in_shards(engine, rows, shards)


def _in_shards(engine: Engine, rows: Sequence[ScoringRow], shards: Shards) -> NDArray[np.float64]:
    """[rows, labels], as engines give them.

    Rows that begin alike are mostly in one shard; how they are parted depends on the rows alone.
    """
    order, to_read = by_beginning(rows)
    ordered = [rows[i] for i in order]
    scores = RowsOfScores(rows).values
    for part in parts(to_read, _TOKENS_IN_SHARD):
        shard = ordered[part]
        labels = {id(row.tree): key_of(row.tree.labels, row.tree.given) for row in shard}
        key = key_of(*(each for row in shard for each in (row.key, labels[id(row.tree)])))
        known = shards.get(key)
        if known is None:
            known = engine(shard, len(rows) - part.stop)
            shards.put(key, known)
        scores[order[part], : known.shape[1]] = known
    return scores


def _arrays(prompts: Sequence[list[int]]) -> Iterator[IntArray]:
    """The prompts as arrays. Neighbours mostly begin alike, and what is in an array already isn't converted again."""
    before: list[int] = []
    array, common = np.empty(0, dtype=np.int64), 0
    for prompt in prompts:
        if prompt[:common] != before[:common] or common == 0:
            common = common_start(before, prompt)
        array = np.concatenate([array[:common], np.array(prompt[common:], dtype=np.int64)])
        before = prompt
        yield array

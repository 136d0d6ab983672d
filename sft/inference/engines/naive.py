"""The plain engine: one full sequence per prompt and label, no cache, nothing shared. Right for every causal model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sft.inference.batching import BatchSize, run_in_batches
from sft.inference.engines.base import EngineOptions, RowsOfScores, engine_registry
from sft.inference.plain_forward import PlainForward
from sft.inference.shared_prefixes import ScoringRow
from sft.models.load import LoadedModel


class _Sequence(NamedTuple):
    """One prompt with one label: where its score goes, its tokens, and how many of them are not scored."""

    row: int
    label: int
    ids: list[int]
    n_prompt: int


@engine_registry.register("naive")
class NaiveEngine:
    """One sequence per prompt and label, right-padded, log-softmax in float32 over the label's positions."""

    compiled = False

    def __init__(self, loaded: LoadedModel, options: EngineOptions) -> None:
        self._loaded = loaded
        self._batch_size: BatchSize = options.batch_size
        self._forward = PlainForward(loaded)

    def __call__(self, rows: Sequence[ScoringRow], waiting: int = 0) -> NDArray[np.float64]:
        sequences = [
            _Sequence(i, label, [*row.prompt.tolist(), *ids], len(row.prompt) + given)
            for i, row in enumerate(rows)
            for label, (ids, given) in enumerate(zip(row.tree.labels, row.tree.given, strict=True))
        ]
        scores = RowsOfScores(rows).values

        def run(batch: Sequence[_Sequence]) -> None:
            for sequence, score in zip(batch, self._score_batch(batch), strict=True):
                scores[sequence.row, sequence.label] = score

        run_in_batches(
            sequences,
            lambda sequence: len(sequence.ids),
            run,
            batch_size=self._batch_size,
            device=self._loaded.device,
            description="scoring labels",
        )
        return scores

    @torch.inference_mode()
    def _score_batch(self, batch: Sequence[_Sequence]) -> list[float]:
        first = min(sequence.n_prompt for sequence in batch) - 1
        # The last token of a sequence is predicted, never read.
        logits = self._forward(self._loaded.model, [sequence.ids[:-1] for sequence in batch], first)
        results = []
        for i, sequence in enumerate(batch):
            targets = torch.tensor(sequence.ids[sequence.n_prompt :], device=logits.device)
            start = sequence.n_prompt - 1 - first
            log_probs = logits[i, start : start + len(targets)].float().log_softmax(dim=-1)
            results.append(log_probs.gather(1, targets[:, None]).double().sum().item())
        return results

"""The plain engine: one full sequence per prompt and label, no cache, nothing shared. Right for every causal model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sft.inference.batching import BatchSize, run_in_batches
from sft.inference.engines.base import EngineOptions, RowsOfScores, engine_registry
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
    """One sequence per prompt and label, right-padded, log-softmax in float32 over the label's positions.

    The language-model head runs only from the first position that a label of the batch needs.
    """

    compiled = False

    def __init__(self, loaded: LoadedModel, options: EngineOptions) -> None:
        self._loaded = loaded
        self._batch_size: BatchSize = options.batch_size
        forward = inspect.signature(loaded.base_model.forward)
        self._can_skip_logits = "logits_to_keep" in forward.parameters

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
        device = self._loaded.device
        # The last token of a sequence is predicted, never read.
        width = max(len(sequence.ids) for sequence in batch) - 1
        pad = self._loaded.tokenizer.pad_token_id
        ids = torch.full((len(batch), width), pad)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for i, sequence in enumerate(batch):
            ids[i, : len(sequence.ids) - 1] = torch.tensor(sequence.ids[:-1])
            mask[i, : len(sequence.ids) - 1] = 1
        first = min(sequence.n_prompt for sequence in batch) - 1
        kept: dict[str, Any] = {"logits_to_keep": width - first} if self._can_skip_logits else {}
        model = self._loaded.model
        logits = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **kept).logits
        offset = width - logits.shape[1]
        results = []
        for i, sequence in enumerate(batch):
            targets = torch.tensor(sequence.ids[sequence.n_prompt :], device=logits.device)
            start = sequence.n_prompt - 1 - offset
            log_probs = logits[i, start : start + len(targets)].float().log_softmax(dim=-1)
            results.append(log_probs.gather(1, targets[:, None]).double().sum().item())
        return results

"""The fallback engines: a prompt is read once, and its cache is continued with every label.

They need nothing of a model but a cache that can be repeated and continued, so they serve ALiBi models, state-space
models and hybrids. Prompts of a batch have the same length, so that nothing is padded before a label.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sft.inference.batching import BatchRunner, BatchSize, padded
from sft.inference.engines.base import Engine, EngineOptions, UnsupportedModelError, engine_registry
from sft.inference.memory import tokens_per_pass
from sft.inference.shared_prefixes import ScoringRow
from sft.models.load import LoadedModel


@engine_registry.register("cache")
def cache_engine(loaded: LoadedModel, options: EngineOptions) -> Engine:
    """All tokens of a label at once."""
    return _CachedEngine(loaded, options, stepwise=False)


@engine_registry.register("cache_stepwise")
def stepwise_cache_engine(loaded: LoadedModel, options: EngineOptions) -> Engine:
    """A label token at a time, for models that continue a state by single tokens only."""
    return _CachedEngine(loaded, options, stepwise=True)


class _CachedEngine:
    compiled = False

    def __init__(self, loaded: LoadedModel, options: EngineOptions, *, stepwise: bool) -> None:
        self._loaded = loaded
        self._batch_size: BatchSize = options.batch_size
        self._stepwise = stepwise
        self._model: Any = loaded.model
        parameters = inspect.signature(loaded.base_model.forward).parameters
        self._cache_name = next((name for name in ("past_key_values", "cache_params") if name in parameters), None)
        if self._cache_name is None:
            raise UnsupportedModelError(f"{type(loaded.base_model).__name__} takes no cache")
        self._takes_positions = "position_ids" in parameters
        self._takes_logits_to_keep = "logits_to_keep" in parameters

    @torch.inference_mode()
    def __call__(self, rows: Sequence[ScoringRow]) -> NDArray[np.float64]:
        rows = [row._replace(place=i) for i, row in enumerate(rows)]
        scores = np.empty((len(rows), len(rows[0].tree.labels)))

        def run(batch: Sequence[ScoringRow]) -> None:
            scores[[row.place for row in batch]] = self._score_batch(batch)

        def length(row: ScoringRow) -> int:
            # After the prompt, every label is a row of its own.
            return len(row.prompt) + sum(map(len, row.tree.labels))

        with BatchRunner(
            self._batch_size,
            tokens=tokens_per_pass(self._loaded),
            rows=None,
            total=len(rows),
            description="scoring labels",
        ) as runner:
            by_length = sorted(rows, key=lambda row: len(row.prompt), reverse=True)
            for _, group in groupby(by_length, key=lambda row: len(row.prompt)):
                runner.run(list(group), run, tokens=padded, length=length)
        return scores

    def _score_batch(self, rows: Sequence[ScoringRow]) -> NDArray[np.float64]:
        """[rows, labels] for prompts of one length."""
        device = self._loaded.device
        n_prompt, n_labels = len(rows[0].prompt), len(rows[0].tree.labels)
        prompts = torch.from_numpy(np.stack([row.prompt for row in rows])).to(device)
        output = self._forward(prompts, n_prompt, None)
        first = output.logits[:, -1].log_softmax(dim=-1, dtype=torch.float32)
        labels = [label for row in rows for label in row.tree.labels]
        width = max(map(len, labels))
        ids = torch.full((len(labels), width), self._loaded.tokenizer.pad_token_id)
        lengths = torch.tensor([len(label) for label in labels])
        for i, label in enumerate(labels):
            ids[i, : len(label)] = torch.tensor(label)
        ids, lengths = ids.to(device), lengths.to(device)
        owners = torch.arange(len(rows), device=device).repeat_interleave(n_labels)
        scores = first[owners, ids[:, 0]].double()
        if width > 1:
            cache = _repeated(output[self._cache_name], owners)
            for start, log_probs in self._continuations(ids[:, :-1], n_prompt, cache):
                targets = ids[:, start + 1 : start + 1 + log_probs.shape[1]]
                token_scores = log_probs.gather(2, targets[..., None])[..., 0].double()
                counted = torch.arange(start + 1, start + 1 + targets.shape[1], device=device) < lengths[:, None]
                scores += torch.where(counted, token_scores, 0.0).sum(dim=1)
        result: NDArray[np.float64] = scores.view(len(rows), n_labels).cpu().numpy()
        return result

    def _continuations(self, ids: Tensor, n_prompt: int, cache: Any) -> Any:
        """Where each piece of the labels starts, and the log-probabilities of what follows its tokens."""
        step = 1 if self._stepwise else ids.shape[1]
        for start in range(0, ids.shape[1], step):
            output = self._forward(ids[:, start : start + step], n_prompt + start + step, cache)
            yield start, output.logits.log_softmax(dim=-1, dtype=torch.float32)

    def _forward(self, ids: Tensor, seen: int, cache: Any) -> Any:
        """seen: tokens of the sequences up to the last of `ids`."""
        n = ids.shape[1]
        arguments: dict[str, Any] = {}
        if self._cache_name == "past_key_values":  # of a state there are no earlier tokens to be masked
            arguments["attention_mask"] = torch.ones((len(ids), seen), dtype=torch.long, device=ids.device)
        if cache is not None:
            arguments[str(self._cache_name)] = cache
        elif self._takes_logits_to_keep:
            arguments["logits_to_keep"] = 1
        if self._takes_positions:
            arguments["position_ids"] = torch.arange(seen - n, seen, device=ids.device).expand(len(ids), -1)
        return self._model(input_ids=ids, use_cache=True, **arguments)


def _repeated(cache: Any, owners: Tensor) -> Any:
    """The cache of row `owners[i]` as row i."""
    if not hasattr(cache, "reorder_cache"):
        raise UnsupportedModelError(f"a cache of class {type(cache).__name__} can't be repeated")
    cache = copy.deepcopy(cache)
    cache.reorder_cache(owners)
    return cache

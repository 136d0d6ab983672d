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
from sft.inference.engines.base import Engine, EngineOptions, RowsOfScores, engine_registry
from sft.inference.memory import activation_bytes_per_token, tokens_per_pass, usable_bytes
from sft.inference.shared_prefixes import ScoringRow
from sft.inference.unsupported import UnsupportedModelError, refuse_virtual_tokens
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
        refuse_virtual_tokens(loaded)
        parameters = inspect.signature(loaded.base_model.forward).parameters
        self._cache_name = next((name for name in ("past_key_values", "cache_params") if name in parameters), None)
        if self._cache_name is None:
            raise UnsupportedModelError(f"{type(loaded.base_model).__name__} takes no cache")
        self._takes_positions = "position_ids" in parameters
        self._takes_logits_to_keep = "logits_to_keep" in parameters

    @torch.inference_mode()
    def __call__(self, rows: Sequence[ScoringRow], waiting: int = 0) -> NDArray[np.float64]:
        rows = [row._replace(place=i) for i, row in enumerate(rows)]
        scores = RowsOfScores(rows)
        tokens, memory = tokens_per_pass(self._loaded), usable_bytes(self._loaded)

        def run(batch: Sequence[ScoringRow]) -> None:
            scores.put(batch, self._score_batch(batch, memory))

        with BatchRunner(
            self._batch_size, tokens=tokens, rows=None, total=len(rows), description="scoring labels"
        ) as runner:
            by_length = sorted(rows, key=_length, reverse=True)
            for _, group in groupby(by_length, key=_length):
                runner.run(list(group), run, tokens=padded, length=_length)
        return scores.values

    def _score_batch(self, rows: Sequence[ScoringRow], memory: int) -> NDArray[np.float64]:
        """Of the labels of all rows, end to end, for prompts of one length. memory: bytes that may be used."""
        device, n_prompt = self._loaded.device, len(rows[0].prompt)
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
        n_labels = torch.tensor([len(row.tree.labels) for row in rows], device=device)
        owners = torch.arange(len(rows), device=device).repeat_interleave(n_labels)
        given = torch.tensor([given for row in rows for given in row.tree.given], device=device)
        scores = torch.where(given == 0, first[owners, ids[:, 0]].double(), 0.0)
        # Every label continues a copy of its prompt's cache, so not all labels are continued at once.
        at_once = max(1, memory // self._bytes_per_label(n_prompt, width))
        for start in range(0, len(labels) if width > 1 else 0, at_once):
            part = slice(start, start + at_once)
            cache = _repeated(output[self._cache_name], owners[part])
            scores[part] += self._continued(ids[part], given[part], lengths[part], n_prompt, cache)
        result: NDArray[np.float64] = scores.cpu().numpy()
        return result

    def _bytes_per_label(self, n_prompt: int, width: int) -> int:
        """Of a copy of the cache, which is less than activations of as many tokens, and of logits in two precisions."""
        vocabulary = int(self._loaded.base_model.config.get_text_config().vocab_size)
        return (n_prompt + width) * activation_bytes_per_token(self._loaded) + 8 * width * vocabulary

    def _continued(self, ids: Tensor, given: Tensor, lengths: Tensor, n_prompt: int, cache: Any) -> Tensor:
        """[labels]: log-probabilities of all tokens but the first. ids: [labels, width], of which those from `given` to
        `lengths` count.
        """
        scores = torch.zeros(len(ids), dtype=torch.float64, device=ids.device)
        n_read = ids.shape[1] - 1
        step = 1 if self._stepwise else n_read
        for start in range(0, n_read, step):
            output = self._forward(ids[:, start : start + step], n_prompt + start + step, cache)
            log_probs = output.logits.log_softmax(dim=-1, dtype=torch.float32)
            predicted = torch.arange(start + 1, start + step + 1, device=ids.device)
            token_scores = log_probs.gather(2, ids[:, predicted, None])[..., 0].double()
            counts = (given[:, None] <= predicted) & (predicted < lengths[:, None])
            scores += torch.where(counts, token_scores, 0.0).sum(dim=1)
        return scores

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


def _length(row: ScoringRow) -> int:
    return len(row.prompt)


def _repeated(cache: Any, owners: Tensor) -> Any:
    """The cache of row `owners[i]` as row i."""
    if not hasattr(cache, "reorder_cache"):
        raise UnsupportedModelError(f"a cache of class {type(cache).__name__} can't be repeated")
    cache = copy.deepcopy(cache)
    cache.reorder_cache(owners)
    return cache

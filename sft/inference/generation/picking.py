"""Which token comes next, from the logits of a step, where that depends on nothing but the row's own logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sft.inference.generation.sampling import draw
from sft.inference.generation.settings import Decoding, prepared
from sft.inference.unsupported import UnsupportedModelError
from sft.models.load import LoadedModel

# Processors of transformers that look at the scores of a step alone, and criteria that a row's own tokens decide.
_PROCESSORS = frozenset(
    {
        "EpsilonLogitsWarper",
        "EtaLogitsWarper",
        "InfNanRemoveLogitsProcessor",
        "LogitNormalization",
        "MinPLogitsWarper",
        "SuppressTokensLogitsProcessor",
        "TemperatureLogitsWarper",
        "TopHLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "TypicalLogitsWarper",
    }
)
_CRITERIA = frozenset({"EosTokenCriteria", "MaxLengthCriteria"})


class Picked(NamedTuple):
    """tokens: [rows]. stopped: [rows], whether a stop string is complete with them; None where there are none."""

    tokens: Tensor
    stopped: Tensor | None


class Picker:
    """Raises `UnsupportedModelError` for a config that asks for more than this."""

    def __init__(self, loaded: LoadedModel, decoding: Decoding) -> None:
        if decoding.mode not in ("greedy_search", "sample"):
            raise UnsupportedModelError(f"generation_args ask for {decoding.mode.replace('_', ' ')}")
        for name, plain in (("cache_implementation", None), ("use_cache", True)):
            if getattr(decoding.config, name, plain) not in (None, plain):
                raise UnsupportedModelError(f"generation_args set {name}")
        found = prepared(loaded, decoding)
        others = {type(one).__name__ for one in found.processors} - _PROCESSORS
        others |= {type(one).__name__ for one in found.criteria} - _CRITERIA
        if others:
            raise UnsupportedModelError(f"generation_args ask for {', '.join(sorted(others))}")
        self._processors = found.processors
        self._stops = decoding.stop_criteria(loaded.tokenizer)
        self.samples = decoding.mode == "sample"
        # A stop string is at most so many tokens long.
        self.tail = max((one.maximum_token_len for one in self._stops), default=0)

    def __call__(self, logits: Tensor, tails: Tensor, at: Tensor | None) -> Picked:
        """logits: [rows, V]. tails: [rows, tail], the last tokens of each row, which the new ones are put after.

        at: [rows], the rows' draws, where tokens are sampled.
        """
        if self._processors or at is not None:
            logits = self._processors(None, logits.float())
        tokens = logits.argmax(dim=-1) if at is None else draw(logits, at)
        if not self._stops:
            return Picked(tokens, None)
        tails.copy_(torch.cat([tails[:, 1:], tokens[:, None]], dim=1))
        stopped = torch.stack([one(tails, None) for one in self._stops]).any(dim=0)
        return Picked(tokens, stopped)

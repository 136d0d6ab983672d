"""Prompts into slots: what all begin with once, and the rest of each, up to its last token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sft.inference.generation.decoders.base import Prompt
from sft.inference.generation.slot_attention import slot_pass
from sft.inference.generation.slots import ReadingPass, Slots
from sft.inference.memory import tokens_per_pass
from sft.inference.shared_prefixes import MIN_SHARED, common_length
from sft.models.load import LoadedModel


class PromptReader:
    """prefix: what all prompts begin with, and less than any of them has."""

    def __init__(self, loaded: LoadedModel, backbone: Any, memory: Slots, prefix: list[int]) -> None:
        self._loaded, self._backbone, self._memory, self._prefix = loaded, backbone, memory, prefix

    def read_prefix(self) -> None:
        """Into all slots."""
        step = tokens_per_pass(self._loaded)
        for start in range(0, len(self._prefix), step):
            self._read(torch.tensor([self._prefix[start : start + step]]), start, [0])
        self._memory.spread(len(self._prefix))

    def read(self, prompts: Sequence[Prompt], slots: Sequence[int]) -> None:
        """All tokens but the last, after the prefix, which is in the slots. prompts: the longest first."""
        start = len(self._prefix)
        for part in _alike(prompts, start, tokens_per_pass(self._loaded)):
            rests = [prompt.ids[start:-1] for prompt in prompts[part]]
            if not rests[0]:
                return
            ids = torch.full((len(rests), len(rests[0])), int(self._loaded.tokenizer.pad_token_id))
            for i, rest in enumerate(rests):
                ids[i, : len(rest)] = torch.tensor(rest)
            self._read(ids, start, slots[part])

    def _read(self, ids: Tensor, start: int, slots: Sequence[int]) -> None:
        device = self._loaded.device
        current = ReadingPass(self._memory, torch.tensor(slots, device=device), start)
        positions = torch.arange(start, start + ids.shape[1], device=device).expand(len(ids), -1)
        with slot_pass(current):
            self._backbone(input_ids=ids.to(device), position_ids=positions, use_cache=False)


def common_prefix(prompts: Sequence[list[int]]) -> list[int]:
    """What all prompts begin with, less than any of them; nothing where it is too short to matter."""
    first, last = (np.array(prompt) for prompt in (min(prompts), max(prompts)))
    length = min(common_length(first, last), min(map(len, prompts)) - 1)
    return prompts[0][:length] if len(prompts) > 1 and length >= MIN_SHARED else []


def _alike(prompts: Sequence[Prompt], prefix: int, tokens: int) -> Iterator[slice]:
    """Parts of prompts, the longest first, of at most so many tokens when padded to the first of the part."""
    start = 0
    while start < len(prompts):
        width = max(1, len(prompts[start].ids) - 1 - prefix)
        most = min(len(prompts), start + max(1, tokens // width))
        # Rows much shorter than the first are read apart.
        stop = next((i for i in range(start, most) if 2 * (len(prompts[i].ids) - prefix) < width), most)
        yield slice(start, stop)
        start = stop

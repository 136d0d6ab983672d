"""Keys and values of the rows that are being generated, each row in a slot of its own.

A slot holds `length` positions. A row's keys and values stand at the row's own positions, so nothing is padded: what
stands behind a row's last position, from padding or from an earlier row, is not attended to and is written over when
the row gets there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

Windowed = int | None


class _Layer(NamedTuple):
    """keys [slots, H_kv, length, d] and values [slots, H_kv, length, d_v]."""

    keys: Tensor
    values: Tensor


class Slots:
    """Memory for `count` rows of at most `length` tokens, taken when a layer first writes."""

    def __init__(self, count: int, length: int) -> None:
        self.count, self.length = count, length
        self.layers: dict[int, _Layer] = {}

    def layer(self, number: int, key: Tensor, value: Tensor) -> _Layer:
        """That of a layer which is about to write `key` and `value` [n, H_kv, t, d]."""
        if number not in self.layers:
            keys, values = (
                torch.zeros((self.count, x.shape[1], self.length, x.shape[3]), dtype=x.dtype, device=x.device)
                for x in (key, value)
            )
            self.layers[number] = _Layer(keys, values)
        return self.layers[number]

    def spread(self, prefix: int) -> None:
        """Copy the first `prefix` positions of the first slot into all others."""
        for layer in self.layers.values():
            for memory in layer:
                memory[1:, :, :prefix] = memory[:1, :, :prefix]

    def move(self, source: Tensor, target: Tensor, length: int) -> None:
        """Copy the first `length` positions of the slots `source` to the slots `target`."""
        for layer in self.layers.values():
            for memory in layer:
                memory[target, :, :length] = memory[source, :, :length]


@dataclass
class ReadingPass:
    """A forward pass in which rows read `t` tokens each, from position `start` on.

    slots: [n], where the rows are. What stands before `start` is the same in all slots.
    """

    memory: Slots
    slots: Tensor
    start: int
    layers: set[int] = field(default_factory=set)
    _masks: dict[tuple[int, Windowed], Tensor] = field(default_factory=dict)

    def keys_and_values(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write them, and return them after what they continue."""
        self.layers.add(layer)
        kept = self.memory.layer(layer, key, value)
        stop = self.start + key.shape[2]
        found = []
        for memory, new in zip(kept, (key, value), strict=True):
            memory[:, :, self.start : stop].index_copy_(0, self.slots, new)
            before = memory[:1, :, : self.start].expand(len(new), -1, -1, -1)
            found.append(torch.cat([before, new], dim=2) if self.start else new)
        return found[0], found[1]

    def mask(self, n_tokens: int, window: Windowed) -> Tensor:
        """[1, t, start + t]: what each token sees. Padding comes last, so no token of a row sees any."""
        shape = (n_tokens, window)
        if shape not in self._masks:
            query = torch.arange(self.start, self.start + n_tokens, device=self.slots.device)[:, None]
            key = torch.arange(self.start + n_tokens, device=self.slots.device)
            self._masks[shape] = _seen(query, key, window)[None]
        return self._masks[shape]


@dataclass
class StepPass:
    """A forward pass in which the rows of the first n slots read one token each.

    positions: [n], of those tokens. span: no row sees further than so many positions.
    """

    memory: Slots
    positions: Tensor
    span: int
    layers: set[int] = field(default_factory=set)
    _masks: dict[Windowed, Tensor] = field(default_factory=dict)

    def keys_and_values(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write them, and return all of the slots' [n, H_kv, span, d]."""
        self.layers.add(layer)
        kept = self.memory.layer(layer, key, value)
        at = self.positions[:, None, None, None]
        found = []
        for memory, new in zip(kept, (key, value), strict=True):
            memory[: len(new)].scatter_(2, at.expand(-1, new.shape[1], -1, new.shape[3]), new)
            found.append(memory[: len(new), :, : self.span])
        return found[0], found[1]

    def mask(self, n_tokens: int, window: Windowed) -> Tensor:
        """[n, 1, span]: what each row's token sees."""
        assert n_tokens == 1
        if window not in self._masks:
            key = torch.arange(self.span, device=self.positions.device)
            self._masks[window] = _seen(self.positions[:, None], key, window)[:, None]
        return self._masks[window]


def _seen(query: Tensor, key: Tensor, window: Windowed) -> Tensor:
    """Of positions: whether the key is not after the query, and within the window."""
    seen = key <= query
    return seen if window is None else seen & (key > query - window)

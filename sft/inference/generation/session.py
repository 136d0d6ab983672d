"""Rows in slots, from the first prompt that is read to the last row that ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sft.inference.generation.answer_text import LOOK_EVERY
from sft.inference.generation.decoders.base import Done, Prompt
from sft.inference.generation.picking import Picked
from sft.inference.generation.reading import PromptReader, common_prefix
from sft.inference.generation.sampling import draws_on, uniforms
from sft.inference.generation.slots import Slots
from sft.inference.generation.step import Step
from sft.models.load import LoadedModel

# Free slots are filled when they have cost as much as so many full steps: what reading prompts costs to begin with.
_IDLE_STEPS = {"cuda": 8.0}
_IDLE_STEPS_ELSEWHERE = 1.0


@dataclass
class _Row:
    prompt: Prompt
    draws: NDArray[np.float64] | None
    ids: list[int] = field(default_factory=list)
    launched: int = 0
    ended: bool = False

    @property
    def length(self) -> int:
        """Tokens up to the one that the row reads next; that one is known to the device first."""
        return len(self.prompt.ids) + self.launched

    def draw(self) -> float:
        """For the token of the next step."""
        return 0.0 if self.draws is None else float(self.draws[min(self.launched, len(self.draws) - 1)])


class Picks(Protocol):
    """The next tokens (`picking.Picker`)."""

    samples: bool
    tail: int

    def __call__(self, logits: Tensor, tails: Tensor, at: Tensor | None) -> Picked: ...


class Ends(Protocol):
    """What ends a row, beside its limit and stop strings. tokens: any of these; is_over: of the row's new tokens."""

    @property
    def tokens(self) -> frozenset[int]: ...

    def is_over(self, ids: Sequence[int]) -> bool: ...


class _Launched(NamedTuple):
    """A step whose outcome may still be on its way from the device.

    rows: those in the first slots, in order. found: [1 or 2, rows], tokens and whether they complete a stop string.
    """

    rows: list[_Row | None]
    found: Tensor
    ready: Any


class Session:
    """rows: at least one. slots: how many of them are generated at a time."""

    def __init__(
        self,
        loaded: LoadedModel,
        backbone: Any,
        picker: Picks,
        ends: Ends,
        rows: Sequence[Prompt],
        slots: int,
        seed: int,
    ) -> None:
        self._loaded, self._picker, self._ends, self._seed = loaded, picker, ends, seed
        # The longest first: what doesn't fit is found out early, and the last steps see few long rows.
        self._waiting = sorted(rows, key=lambda row: (len(row.ids), -row.number))
        self._memory = Slots(slots, max(len(row.ids) + row.limit for row in rows))
        self._step = Step(loaded, self._memory)
        self._rows: list[_Row | None] = [None] * slots
        self._reader = PromptReader(loaded, backbone, self._memory, common_prefix([row.ids for row in rows]))
        self._tails = torch.full(
            (slots, picker.tail), int(loaded.tokenizer.pad_token_id), dtype=torch.long, device=loaded.device
        )
        self._on_cuda = loaded.device.type == "cuda"
        self._idle_steps = _IDLE_STEPS.get(loaded.device.type, _IDLE_STEPS_ELSEWHERE)
        self._idle = self._idle_steps

    def run(self, done: Done) -> None:
        """Generate all rows."""
        self._reader.read_prefix()
        before: _Launched | None = None
        while self._waiting or any(self._rows):
            self._fill()
            self._close_up()
            launched = self._launch()
            # A GPU works on the next step while the last one is looked at; a row may be a step behind its end then.
            self._look_at(before if self._on_cuda else launched, done)
            before = launched

    def _fill(self) -> None:
        """Put waiting rows into free slots, when enough of those have been free for long enough."""
        free = [slot for slot, row in enumerate(self._rows) if row is None]
        if not self._waiting or not free:
            return
        self._idle += len(free) / len(self._rows)
        if self._idle < self._idle_steps and len(free) < len(self._rows):
            return
        self._idle = 0.0
        new = [self._waiting.pop() for _ in range(min(len(free), len(self._waiting)))]
        free = free[: len(new)]
        self._reader.read(new, free)
        for slot, prompt in zip(free, new, strict=True):
            draws = uniforms(self._seed, prompt.number, prompt.limit) if self._picker.samples else None
            self._rows[slot] = _Row(prompt, draws)
        at = torch.tensor(free, device=self._loaded.device)
        self._step.tokens[at] = self._on_device([prompt.ids[-1] for prompt in new])
        self._step.positions[at] = self._on_device([len(prompt.ids) - 1 for prompt in new])
        if self._picker.tail:
            self._tails[at] = self._on_device([self._tail(prompt.ids) for prompt in new])

    def _tail(self, ids: list[int]) -> list[int]:
        padding = [int(self._loaded.tokenizer.pad_token_id)] * self._picker.tail
        return [*padding, *ids][-self._picker.tail :]

    def _close_up(self) -> None:
        """Move rows from the last slots into free ones before them, where fewer slots then need to be stepped."""
        taken = [slot for slot, row in enumerate(self._rows) if row is not None]
        if not taken or self._waiting:
            return
        count = self._stepped(len(taken))
        moved = [slot for slot in taken if slot >= count]
        if not moved:
            return
        free = [slot for slot in range(count) if self._rows[slot] is None][: len(moved)]
        source, target = self._on_device(moved), self._on_device(free)
        self._memory.move(source, target, max(self._rows[slot].length for slot in moved))  # type: ignore[union-attr]
        for values in (self._step.tokens, self._step.positions, self._tails):
            values[target] = values[source]
        for old, new in zip(moved, free, strict=True):
            self._rows[old], self._rows[new] = None, self._rows[old]

    def _stepped(self, count: int) -> int:
        """How many slots are stepped for `count` rows: few different numbers where graphs are used."""
        if not self._step.uses_graphs:
            return count
        return min(len(self._rows), 1 << (count - 1).bit_length())

    def _launch(self) -> _Launched:
        count = 1 + max(slot for slot, row in enumerate(self._rows) if row is not None)
        count = self._stepped(count)
        rows = self._rows[:count]
        longest = max(row.length for row in rows if row is not None)
        logits = self._step(count, min(longest, self._memory.length))
        picked = self._picker(logits, self._tails[:count], self._draws(rows))
        self._step.tokens[:count] = picked.tokens
        for row in rows:
            if row is not None:
                row.launched += 1
        # What a free slot reads is written where its next row will write over it.
        self._step.positions[:count].add_(1).clamp_(max=self._memory.length - 1)
        found = picked.tokens[None] if picked.stopped is None else torch.stack([picked.tokens, picked.stopped.long()])
        if not self._on_cuda:
            return _Launched(rows, found, None)
        found = found.to("cpu", non_blocking=True)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record()
        return _Launched(rows, found, ready)

    def _draws(self, rows: Sequence[_Row | None]) -> Tensor | None:
        if not self._picker.samples:
            return None
        values = [0.0 if row is None else row.draw() for row in rows]
        return draws_on(self._loaded.device, values)

    def _look_at(self, launched: _Launched | None, done: Done) -> None:
        """Take the tokens of a step, and hand over the rows that end with them."""
        if launched is None:
            return
        if launched.ready is not None:
            launched.ready.synchronize()
        tokens, *stopped = launched.found.tolist()
        for i, row in enumerate(launched.rows):
            if row is None or row.ended:
                continue
            row.ids.append(tokens[i])
            row.ended = tokens[i] in self._ends.tokens or len(row.ids) == row.prompt.limit or any(s[i] for s in stopped)
            if not row.ended and len(row.ids) % LOOK_EVERY == 0:
                row.ended = self._ends.is_over(row.ids)
            if row.ended:
                done(row.prompt.number, row.ids)
        self._rows = [None if row is None or row.ended else row for row in self._rows]

    def _on_device(self, values: Sequence[Any]) -> Tensor:
        return torch.tensor(values, device=self._loaded.device)

"""Who sees whom in a packed batch, as tensors on the devices that ask."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sft.inference.packing import PackedBatch


class PrefixView(NamedTuple):
    """Which keys of the prefix the batch's tokens see: all from `first_key` on, or as `mask` [1, 1, T, K] says.

    blind: [T], tokens that see none, where there are any.
    """

    first_key: int
    mask: Tensor | None
    blind: Tensor | None


class Blocks(NamedTuple):
    """For kernels that work on blocks. ends: [key blocks], where the last subtree that begins in a block ends.

    starts: [token blocks], the first block of keys in which the document of a block's first token has a token.
    """

    ends: Tensor
    starts: Tensor


class Layout:
    """A batch's positions and visibility on one device. window: of sliding attention, None for full attention."""

    def __init__(self, batch: PackedBatch, device: torch.device) -> None:
        self.batch = batch
        self.device = device
        self._local_masks: dict[int | None, Tensor | None] = {}
        self._prefix_views: dict[int | None, PrefixView] = {}
        self._blocks: dict[tuple[int, int], Blocks] = {}

    @cached_property
    def positions(self) -> Tensor:
        return self._tensor(self.batch.positions)

    @cached_property
    def ends(self) -> Tensor:
        return self._tensor(self.batch.ends)

    @property
    def n_documents(self) -> int:
        return len(self.batch.starts) - 1

    @cached_property
    def width(self) -> int:
        """Tokens of the longest document."""
        return int(np.diff(self.batch.starts).max())

    @cached_property
    def gather(self) -> Tensor:
        """[D * width]: the batch's token at every place of the padded documents; padding repeats the first token."""
        places = self.batch.starts[:-1, None] + np.arange(self.width)
        return self._tensor(np.where(self._is_token, places, self.batch.starts[:-1, None]).reshape(-1))

    @cached_property
    def scatter(self) -> Tensor:
        """[T]: the place of every token in the padded documents."""
        return self._tensor(np.flatnonzero(self._is_token.reshape(-1)))

    def by_document(self, x: Tensor) -> Tensor:
        """[1, H, T, d] → [D, H, width, d]."""
        if self.n_documents == 1:
            return x
        padded = x[0].transpose(0, 1)[self.gather]
        return padded.view(self.n_documents, self.width, *padded.shape[1:]).transpose(1, 2)

    def end_to_end(self, x: Tensor) -> Tensor:
        """[D, H, width, ...] → [T, H, ...]."""
        x = x.transpose(1, 2)
        return x[0] if self.n_documents == 1 else x.flatten(0, 1)[self.scatter]

    @property
    def _is_token(self) -> np.ndarray:
        return np.arange(self.width) < np.diff(self.batch.starts)[:, None]

    def local_mask(self, window: int | None) -> Tensor | None:
        """[D, 1, width, width]: which token of its own document a token sees; None where plain causal order says it."""
        spans = int(self.batch.positions.max()) - self.batch.prefix_length
        window = None if window is None or spans < window else window
        if window not in self._local_masks:
            self._local_masks[window] = self._new_local_mask(window)
        return self._local_masks[window]

    def _new_local_mask(self, window: int | None) -> Tensor | None:
        if window is None and not self.batch.branches:
            return None
        place = torch.arange(self.width, device=self.device)
        first = self._tensor(self.batch.starts[:-1])[:, None]
        ends = self.ends[self.gather].view(self.n_documents, self.width) - first
        query, key = place[None, :, None], place[None, None, :]
        # Padding sees itself: a softmax over nothing would make its gradients no numbers.
        sees = (key <= query) & ((query < ends[:, None, :]) | (key == query))
        if window is not None:
            at = self.positions[self.gather].view(self.n_documents, self.width)
            sees &= at[:, :, None] - at[:, None, :] < window
        return sees[:, None]

    def prefix_view(self, window: int | None) -> PrefixView:
        if window not in self._prefix_views:
            self._prefix_views[window] = self._new_prefix_view(window)
        return self._prefix_views[window]

    def _new_prefix_view(self, window: int | None) -> PrefixView:
        length, positions = self.batch.prefix_length, self.batch.positions
        if window is None or positions.max() < window:
            return PrefixView(0, None, None)
        first_key = min(max(0, int(positions.min()) - window + 1), length)
        keys = torch.arange(first_key, length, device=self.device)
        mask = (self.positions[:, None] - keys < window)[None, None]
        blind = self._tensor(positions - window + 1 >= length) if positions.max() - window + 1 >= length else None
        return PrefixView(first_key, mask, blind)

    def blocks(self, tokens: int, keys: int) -> Blocks:
        """tokens, keys: sizes of the blocks."""
        if (tokens, keys) not in self._blocks:
            ends, starts, n = self.batch.ends, self.batch.starts, len(self.batch.tokens)
            first_tokens = np.arange(0, n, tokens)
            documents = np.searchsorted(starts, first_tokens, side="right") - 1
            self._blocks[tokens, keys] = Blocks(
                ends=self._tensor(np.maximum.reduceat(ends, np.arange(0, n, keys))),
                starts=self._tensor(starts[documents] // keys),
            )
        return self._blocks[tokens, keys]

    def _tensor(self, values: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

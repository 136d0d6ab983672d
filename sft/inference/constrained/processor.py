"""Masks what may not come next, and near the length limit what would leave no room for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from sft.inference.constrained.endings import Endings
from sft.inference.constrained.position import Position
from sft.inference.constrained.vocabulary import xgrammar

if TYPE_CHECKING:
    from sft.inference.constrained.constraint import CompiledConstraint

# Near the limit so many of a row's likeliest tokens are tried; beside them there is always one that fits.
TRIED = 8


class ConstraintProcessor(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
    """For one batch of rows, from their first new token on; see `Constraint` for what it is called with.

    While any token leaves room for the shortest ending, every token that the grammar allows is possible. Nearer to the
    limit it is, of a row's `TRIED` likeliest tokens, those after which the shortest ending still fits, and the one
    that leads to the ending.
    """

    def __init__(self, constraint: CompiledConstraint, rows: int, max_new_tokens: int) -> None:
        library = xgrammar()
        self._constraint = constraint
        self._endings: Endings = constraint.endings
        self._rows = [_Row(library.GrammarMatcher(constraint.compiled), self._endings) for _ in range(rows)]
        self._batch = library.BatchGrammarMatcher()
        self._apply = library.apply_token_bitmask_inplace
        self._mask: Tensor = library.allocate_token_bitmask(rows, constraint.vocabulary.size)
        self._limit = max_new_tokens
        self._width: int | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """input_ids: [rows, tokens]. scores: [rows, V], changed in place."""
        if self._width is None:
            self._width = input_ids.shape[1]
        else:
            for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
                row.read(token)
        live = [number for number, row in enumerate(self._rows) if not row.over]
        if not live:
            return scores
        self._mask.fill_(-1)
        self._batch.batch_fill_next_token_bitmask([self._rows[i].matcher for i in live], self._mask, live)
        self._mask[live] &= torch.stack([self._constraint.bits_for(self._rows[number].last_text) for number in live])
        self._apply(scores, self._mask.to(scores.device))
        nothing_left = scores.amax(dim=-1).isneginf().tolist()
        self._put_back(scores, [number for number in live if nothing_left[number]])
        left = self._limit - (input_ids.shape[1] - self._width) - 1
        if self._endings.grammar.farthest is None or left < self._endings.grammar.farthest:
            self._leave_room(scores, live, left)
        return scores

    def _leave_room(self, scores: Tensor, live: Sequence[int], left: int) -> None:
        """Keep the tokens after which the texts can come to their ends within `left` tokens.

        All rows in a few operations, and one wait for the device: it takes longer to start one than to compute it.
        """
        likeliest = scores[live].topk(min(TRIED, scores.shape[-1]))
        rows: list[int] = []
        tokens: list[int] = []
        alone: list[bool] = []
        for number, values, candidates in zip(live, likeliest.values.tolist(), likeliest.indices.tolist(), strict=True):
            possible = [token for value, token in zip(values, candidates, strict=True) if value > -torch.inf]
            kept = self._rows[number].leaving_room(possible, left)
            rows += [number] * len(kept)
            tokens += kept
            alone += [len(kept) == 1] * len(kept)
        at = torch.tensor(rows, device=scores.device), torch.tensor(tokens, device=scores.device)
        kept_scores = scores[at]
        scores[live] = -torch.inf
        # Where only what leads to the ending is left, it is possible even if `generation_args` rule it out.
        ruled_out = torch.tensor(alone, device=scores.device) & ~kept_scores.isfinite()
        scores[at] = kept_scores.masked_fill(ruled_out, 0.0)

    def _put_back(self, scores: Tensor, rows: Sequence[int]) -> None:
        """Where `generation_args` rule out all that the grammar allows, the grammar decides."""
        for number in rows:
            scores[number] = 0.0
        if rows:
            self._apply(scores, self._mask.to(scores.device), indices=list(rows))


class _Row:
    """One row's text so far."""

    def __init__(self, matcher: Any, endings: Endings) -> None:
        self.matcher = matcher
        self.over = False
        self.last_text = b""
        self._endings = endings
        self._unread: list[int] = []
        self._position: Position = endings.grammar.start
        self._way: Sequence[int] | None = None

    def read(self, token: int) -> None:
        if self.over:  # padding
            return
        if not self.matcher.accept_token(token):
            raise AssertionError(f"token {token} was generated though the grammar doesn't allow it")
        self.over = self.matcher.is_terminated()
        self._unread.append(token)
        self.last_text = self._endings.text(token)
        self._way = self._way[1:] if self._way and self._way[0] == token else None

    def leaving_room(self, candidates: Sequence[int], left: int) -> list[int]:
        """The candidates after which the text can come to its end within `left` tokens.

        And the token that the shortest ending begins with: where the text may end, the one that ends it.
        """
        for token in self._unread:
            self._position = self._endings.after(self._position, token)
        self._unread.clear()
        way = self._endings.tokens(self._position)
        # Another ending with as few bytes may take more tokens than what is left of the one that was begun.
        self._way = way if self._way is None or len(way) < len(self._way) else self._way
        kept = [token for token in candidates if self._endings.fits(self._position, token, left)]
        first = self._way[0] if self._way else self._endings.end
        return kept if first in kept else [*kept, first]

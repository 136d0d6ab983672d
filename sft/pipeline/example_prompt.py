"""One sequence of a run as a record keeps it, for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sft.prompting.marked import marked

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_TOKENS = 2000


def example_prompt(
    ids: Sequence[int], tokenizer: PreTrainedTokenizerBase, in_loss: Sequence[bool] | None = None
) -> dict[str, Any]:
    """How many tokens there are, and their text as pieces (see `MarkedPiece`), for JSON.

    in_loss: [tokens]; none by default. Of more than `MOST_TOKENS` the middle is left out, and a piece says how many.
    """
    mask = [False] * len(ids) if in_loss is None else list(in_loss)
    half = MOST_TOKENS // 2
    left_out = len(ids) - MOST_TOKENS
    if left_out <= 0:
        return {"tokens": len(ids), "pieces": _pieces(ids, mask, tokenizer)}
    start, end = (_pieces(ids[part], mask[part], tokenizer) for part in (slice(half), slice(-half, None)))
    return {"tokens": len(ids), "pieces": [*start, {"left_out": left_out}, *end]}


def _pieces(ids: Sequence[int], mask: Sequence[bool], tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    return [piece._asdict() for piece in marked(ids, mask, tokenizer)]

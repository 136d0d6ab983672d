"""What an answer may be, said token by token while it is generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from transformers import LogitsProcessor


class Constraint(Protocol):
    """Makes what masks the tokens that may not come next; rows are generated in static batches then."""

    def processor(self, rows: int, max_new_tokens: int) -> LogitsProcessor:
        """A fresh one for every batch of `rows` prompts, so it may keep a state for each row.

        Its first call sees the padded prompts, whose width tells it where the answers begin, and each further call one
        token more. To end an answer it leaves the end-of-turn token alone possible; what it then sees of that row is
        padding. With beams, rows are those of the batch times the beams, and change their order between calls.
        """
        ...

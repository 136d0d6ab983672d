"""How lm-eval's `hf` model makes tokens of a context and what follows it, as of version 0.4.13.

Written anew, so that a task can be exported where the harness isn't installed; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Split(NamedTuple):
    """The tokens that are read, and those that are scored."""

    context: list[int]
    continuation: list[int]


class HarnessEncoding:
    """add_bos: the harness's `add_bos_token`; None: as the tokenizer does of its own accord."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, add_bos: bool | None = None) -> None:
        self._tokenizer = tokenizer
        self.add_bos = add_bos
        prefix = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        self._prefix = str(tokenizer.decode(prefix))

    def encode(self, text: str, add_special_tokens: bool | None = None) -> list[int]:
        """add_special_tokens: None for what `add_bos` says, and none of them before a text that begins with its own."""
        if add_special_tokens is None:
            add_special_tokens = False if text.startswith(self._prefix) else self.add_bos
        return self._ids(text, add_special_tokens)

    def split(self, context: str, continuation: str) -> Split:
        """White space at the end of the context belongs to the continuation; both are encoded together, and parted
        after as many tokens as the context has on its own. context: not empty.
        """
        kept = context.rstrip()
        continuation, context = context[len(kept) :] + continuation, kept
        whole, alone = self.encode(context + continuation), self.encode(context)
        return Split(alone, whole[len(alone) :])

    def _ids(self, text: str, add_special_tokens: bool | None) -> list[int]:
        given = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        return list(self._tokenizer.encode(text, **given))

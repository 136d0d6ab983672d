"""Where a generated answer ends, and which text it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sft.inference.generation.settings import Decoding
from sft.models.load import LoadedModel

# After so many tokens each, a text is decoded to see whether the separator has come.
LOOK_EVERY = 8


class AnswerText:
    """The text of a row's tokens: up to the first end token, the separator and the first stop string.

    strips: whether white space around it is left out.
    """

    def __init__(self, loaded: LoadedModel, decoding: Decoding, *, strips: bool = True) -> None:
        self._strips = strips
        self._tokenizer: Any = loaded.tokenizer
        self._decoding = decoding

    def __call__(self, ids: Sequence[int]) -> str:
        """Without special tokens."""
        ends = self._decoding.ends
        end = next((i for i, token in enumerate(ids) if token in ends), len(ids))
        text, _ = self._before_separator(ids[:end])
        for stop in self._decoding.stop_strings:
            text = text.partition(stop)[0]
        return text.strip() if self._strips else text

    @property
    def tokens(self) -> frozenset[int]:
        """Those that end an answer."""
        return self._decoding.ends

    def is_over(self, ids: Sequence[int]) -> bool:
        """Whether the separator has come, so that what follows is no part of the answer."""
        return self._before_separator(ids)[1]

    def _before_separator(self, ids: Sequence[int]) -> tuple[str, bool]:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        if self._decoding.separator is None:
            return text, False
        before, separator, _ = text.lstrip().partition(self._decoding.separator)
        return before, bool(separator)

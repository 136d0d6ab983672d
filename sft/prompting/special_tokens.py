"""Which tokens of a vocabulary are markup rather than text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARKUP = re.compile(r"<\S*>|\[\S*\]")
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def is_special(text: str, special: bool) -> bool:
    """Special tokens, and tokens that look like markup (`<think>`); not runs of spaces that some vocabularies add."""
    return not _BYTE_TOKEN.fullmatch(text) and (special or _MARKUP.fullmatch(text) is not None)


def special_names(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Id → name of every special token."""
    added = tokenizer.added_tokens_decoder.items()
    names = {number: token.content for number, token in added if is_special(token.content, token.special)}
    return names | {number: str(tokenizer.convert_ids_to_tokens(number)) for number in tokenizer.all_special_ids}

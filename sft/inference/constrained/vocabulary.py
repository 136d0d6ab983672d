"""The tokens that a constrained text may be made of, as bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sft.errors import MissingPackageError, ModelError
from sft.models.load import LoadedModel

_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_CONTROL = re.compile(rb"[\x00-\x1f]")
# Halves of surrogate pairs, which UTF-8 has no place for and xgrammar takes for characters: begin and rest.
SURROGATE_BEGIN = b"\xed"
_SURROGATE_REST = re.compile(rb"[\xa0-\xbf]")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")


class Vocabulary:
    """A model's tokens for one end of the turn.

    end: the token that ends a text. size: of the model's logits, which may be more than the tokenizer has tokens.
    Special tokens, which decoding leaves out, are no part of a text; neither are other tokens that were added to the
    tokenizer's own.
    """

    def __init__(self, tokenizer: Any, size: int, end: int) -> None:
        self.size, self.end = size, end
        self.info = xgrammar().TokenizerInfo.from_huggingface(tokenizer, vocab_size=size, stop_token_ids=[end])
        added = tokenizer.added_tokens_decoder
        barred = {number for number, token in added.items() if not _BYTE_TOKEN.fullmatch(token.content)}
        barred |= set(tokenizer.all_special_ids)
        self._texts = [
            b"" if number in barred or _SURROGATE.search(text) else text
            for number, text in enumerate(map(bytes, self.info.decoded_vocab[:size]))
        ]

    @classmethod
    def of(cls, loaded: LoadedModel, end: int) -> Vocabulary:
        """end: the end-of-turn token of the prompts' format."""
        return cls(loaded.tokenizer, int(loaded.base_model.config.get_text_config().vocab_size), end)

    def allowed(self, *, but_control_characters_in: bytes | None) -> Allowed:
        """The tokens that texts may be made of.

        but_control_characters_in: None for all; else those with control characters are barred, unless they are part
        of this text.
        """
        texts = self._texts
        if but_control_characters_in is not None:
            texts = [b"" if _CONTROL.search(t) and t not in but_control_characters_in else t for t in texts]
        return Allowed(texts, self.end)


class Allowed:
    """Tokens with their texts; those of the others are empty."""

    def __init__(self, texts: Sequence[bytes], end: int) -> None:
        self.texts, self.end = texts, end
        self._token: dict[bytes, int] = {}
        for number, text in enumerate(texts):
            if text:
                self._token.setdefault(text, number)
        self._longest = max(map(len, self._token), default=0)

    def bits(self, *, after_surrogate_begin: bool = False) -> Tensor:
        """[ceil(V / 32)] int32, a bit for each token, as xgrammar has its masks.

        after_surrogate_begin: whether the text so far ends with `SURROGATE_BEGIN`, which not all may follow.
        """
        texts = self.texts
        if after_surrogate_begin:
            texts = [b"" if _SURROGATE_REST.match(text) else text for text in texts]
        flags = torch.zeros(-(-len(texts) // 32) * 32, dtype=torch.int64)
        flags[[number for number, text in enumerate(texts) if text or number == self.end]] = 1
        words = (flags.view(-1, 32) << torch.arange(32)).sum(dim=1)
        return torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32)

    def fewest(self, text: bytes) -> list[int]:
        """As few tokens as the text can be made of. Raises `ModelError` where it can't."""
        best: list[tuple[int, int]] = [(0, 0)]  # tokens up to each byte, and where the last of them begins
        for end in range(1, len(text) + 1):
            begins = range(max(0, end - self._longest), end)
            ways = ((best[i][0] + 1, i) for i in begins if text[i:end] in self._token)
            best.append(min(ways, default=(len(text) + 1, 0)))
        if best[-1][0] > len(text):
            raise ModelError(f"the tokenizer has no tokens for {text!r}, which an answer would have to end with")
        tokens: list[int] = []
        end = len(text)
        while end:
            begin = best[end][1]
            tokens.append(self._token[text[begin:end]])
            end = begin
        return tokens[::-1]


def xgrammar() -> Any:
    """The library, imported where it is used. Raises `MissingPackageError` without it."""
    try:
        import xgrammar as library
    except ImportError as error:
        raise MissingPackageError(
            "xgrammar",
            "constrained decoding",
            'pip install "xgrammar==0.2.8"; or set inference.constrained to false',
        ) from error
    return library

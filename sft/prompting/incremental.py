"""Tokenising texts that share most of what they begin with, as the prompts of a task do.

A tokenizer works on pieces of a text that don't see each other: it first splits at special tokens, then (most do) at
words. So after a text with a common beginning, only the rest is tokenised again, from a place where both are split:

- at a special token that is part of the common beginning; or
- between words (pre-tokens), some characters before the common beginning ends, because a split may depend on what
  follows: on the rest of a token that the vocabulary adds, or on what ends a run of white space.

The second needs a tokenizer that splits into words and does nothing at the start of a text that it doesn't do inside.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tokenizers import Encoding, Tokenizer

from sft.common_start import common_start

# Components that treat every word alike, wherever it stands.
_LOCAL_NORMALIZERS = frozenset({"NFC", "NFD", "NFKC", "NFKD", "Lowercase"})
_LOCAL_PRE_TOKENIZERS = frozenset(
    {"ByteLevel", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "UnicodeScripts"}
)
_MARGIN = 8
_REMEMBERED = 4096


class Place(NamedTuple):
    """Where a text can be cut: before this token, at this character."""

    token: int
    character: int


class Tokens(NamedTuple):
    """ids, and where each token ends in the text."""

    ids: list[int]
    ends: list[int]


class IncrementalTokenizer:
    """Tokenises whole texts, remembering the last one; and short texts, remembering many.

    special_ids: tokens whose text nothing else begins or ends with. spec: the tokenizer in its JSON form. Adds no
    special tokens of its own. ids: of the last whole text; not to be changed.
    """

    def __init__(self, backend: Tokenizer, special_ids: frozenset[int], spec: Mapping[str, Any]) -> None:
        self._backend = backend
        # A token that takes the white space before it with it changes what stands there.
        taking = {t["id"] for t in spec["added_tokens"] if t["lstrip"] or t["single_word"]}
        self._special = special_ids - taking
        self._splits_words = _splits_words(spec)
        added = [len(t["content"]) for t in spec["added_tokens"] if t["id"] not in special_ids]
        self._margin = max(_MARGIN, *added) if added else _MARGIN
        self._text = ""
        self.ids: list[int] = []
        self._after_special: list[int] = []  # where a special token ends, …
        self._specials: list[Place] = []  # … and where it begins
        self._word_starts: list[int] = []
        self._words: list[Place] = []
        self._short: dict[str, Tokens] = {}

    def encode(self, text: str) -> list[int]:
        """The ids of a text, which are kept as `ids`."""
        kept = self.place_before(common_start(self._text, text))
        self._forget_from(kept)
        encoding = self._backend.encode(text[kept.character :], add_special_tokens=False)
        self._text, self.ids = text, self.ids[: kept.token] + encoding.ids
        self._remember(encoding, kept)
        return self.ids

    def place_before(self, end: int) -> Place:
        """The last place where the last text, and every text that agrees with it up to character `end`, can be cut."""
        special = bisect_right(self._after_special, end) - 1
        place = self._specials[special] if special >= 0 else Place(0, 0)
        word = bisect_right(self._word_starts, end - self._margin) - 1
        while word >= 0 and not self._text[self._word_starts[word] : end].strip():
            word -= 1
        return max(place, self._words[word]) if word >= 0 else place

    def encode_short(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of texts that may have been asked for before."""
        new = [text for text in dict.fromkeys(texts) if text not in self._short]
        if len(self._short) + len(new) > _REMEMBERED:
            self._short.clear()
            new = list(dict.fromkeys(texts))
        encodings = self._backend.encode_batch(new, add_special_tokens=False) if new else []
        for text, encoding in zip(new, encodings, strict=True):
            self._short[text] = Tokens(encoding.ids, [end for _, end in encoding.offsets])
        return [self._short[text] for text in texts]

    def _forget_from(self, place: Place) -> None:
        for ends, places in ((self._after_special, self._specials), (self._word_starts, self._words)):
            known = bisect_left(places, place)
            del ends[known:], places[known:]

    def _remember(self, encoding: Encoding, start: Place) -> None:
        words = encoding.word_ids
        for i, (token, (begin, end)) in enumerate(zip(encoding.ids, encoding.offsets, strict=True)):
            place = Place(start.token + i, start.character + begin)
            if token in self._special:
                self._after_special.append(start.character + end)
                self._specials.append(place)
            elif self._splits_words and i > 0 and words[i] != words[i - 1]:
                self._word_starts.append(place.character)
                self._words.append(place)


def _splits_words(spec: Mapping[str, Any]) -> bool:
    """Whether a tokenizer (in its JSON form) splits texts into words, and does the same to a word wherever it is."""
    normalizers = _parts(spec.get("normalizer"), "normalizers")
    pre_tokenizers = _parts(spec.get("pre_tokenizer"), "pretokenizers")
    return (
        bool(pre_tokenizers)
        and all(part["type"] in _LOCAL_NORMALIZERS for part in normalizers)
        and all(part["type"] in _LOCAL_PRE_TOKENIZERS for part in pre_tokenizers)
        and not any(part.get("add_prefix_space") for part in pre_tokenizers)
    )


def _parts(component: Mapping[str, Any] | None, name: str) -> list[Mapping[str, Any]]:
    if component is None:
        return []
    if component["type"] != "Sequence":
        return [component]
    return [part for inner in component[name] for part in _parts(inner, name)]

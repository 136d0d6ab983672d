"""Text → token ids, such that text from a data set can't act as a special token.

A prompt is made of pieces: scaffolding, in which strings like `<|im_end|>` are special tokens, and data, in which they
are plain text. To tokenise both jointly (so that merges across pieces are those of the whole text), a copy of the
tokenizer is used in which every special token has the same id but a private name; scaffolding is rewritten to the
private names, data can't contain them. See docs/decisions/0002-special-tokens-in-data.md.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Encoding, Tokenizer

from sft.common_start import common_start
from sft.errors import ModelError
from sft.prompting.incremental import IncrementalTokenizer, Place, Tokens
from sft.prompting.special_tokens import is_special

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Supplementary private-use characters: no text uses them, no normaliser changes them.
_OPEN, _CLOSE = "\U0010fff0", "\U0010fff1"
_REPLACEMENT = "�"
_JOINER = "\u200d"


class Piece(NamedTuple):
    """A stretch of a prompt. is_data: special-token strings in it are plain text."""

    text: str
    is_data: bool


class TextEncoder:
    """Tokenises pieces with special tokens recognised in scaffolding only. Adds no BOS or EOS of its own."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ModelError(
                f"the tokenizer {type(tokenizer).__name__} of {tokenizer.name_or_path!r} has no `tokenizers` backend, "
                "which is needed for exact character offsets",
                "use a model with a fast tokenizer (a tokenizer.json)",
            )
        self._backend, self._names, spec = _with_private_names(backend)
        special = frozenset(token["id"] for token in spec["added_tokens"] if token["content"] in self._names.values())
        self._incremental = IncrementalTokenizer(self._backend, special, spec)
        alternatives = "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True))
        self._special = re.compile(alternatives) if alternatives else None

    def encode(self, pieces: Iterable[Piece]) -> list[int]:
        return list(self._incremental.encode(self._text(pieces)))

    def encode_open(self, prompt: Sequence[Piece], answer: str) -> list[int]:
        """Tokenise a prompt that the model is to continue, as it is tokenised before an answer such as `answer`.

        White space at the end of a text can be other tokens than before a word (gpt2 has "\n\n" as one token, and as
        two before a word). Where a token would cross the boundary, the prompt is tokenised on its own.
        """
        text = self._text(prompt)
        if not text[-1:].isspace():
            return self.encode(prompt)
        place, (tokens,) = self._ends(text, self._ends_of([answer]))
        n_before = _tokens_before(tokens, len(text) - place.character)
        if n_before == 0 or tokens.ends[n_before - 1] < len(text) - place.character:
            return self.encode(prompt)
        return self._incremental.ids[: place.token] + tokens.ids[:n_before]

    def encode_answers(self, prompt: Sequence[Piece], answers: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Tokenise prompt + answer jointly for each answer; split where the answers begin.

        Returns the prompt's ids and each answer's. A token across the boundary belongs to the answer; the prompt is
        what all answers leave intact (their longest common token prefix). No answer is left without a token, but for
        an empty one.
        """
        prompt_ids, answer_ids = self._split(self._text(prompt), self._ends_of(answers))
        for answer, ids in zip(answers, answer_ids, strict=True):
            if answer and not ids:
                raise ModelError(f"the tokenizer gives no token for the answer {answer!r}", "write it differently")
        return prompt_ids, answer_ids

    def encode_questions(
        self, prompts: Sequence[Sequence[Piece]], answers: Sequence[str]
    ) -> tuple[list[int], list[list[list[int]]]]:
        """Tokenise every prompt + answer jointly, of prompts that begin alike.

        Returns the ids with which all of them begin, and of each prompt, for each answer, the ids from there on.
        """
        texts = [self._text(pieces) for pieces in prompts]
        common = common_start(min(texts), max(texts))
        ends = self._ends_of(answers)
        start, rests = self._split(texts[0][:common], [text[common:] + end for text in texts for end in ends])
        return start, [rests[i : i + len(answers)] for i in range(0, len(rests), len(answers))]

    def _ends_of(self, answers: Sequence[str]) -> list[str]:
        return [self._text([Piece(answer, is_data=True)]) for answer in answers]

    def _split(self, prompt: str, ends: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """The tokens that all texts `prompt + end` have within the prompt, and the others of each."""
        place, tokens = self._ends(prompt, ends)
        n_before = min(_tokens_before(each, len(prompt) - place.character) for each in tokens)
        first = tokens[0].ids
        for each in tokens[1:]:
            n_before = _common_prefix(first, each.ids, n_before)
        return self._incremental.ids[: place.token] + first[:n_before], [each.ids[n_before:] for each in tokens]

    def _ends(self, prompt: str, ends: Sequence[str]) -> tuple[Place, list[Tokens]]:
        """A place in the prompt before which its tokens are the same whatever follows, and each text's from there."""
        self._incremental.encode(prompt + ends[0])
        place = self._incremental.place_before(len(prompt))
        rest = prompt[place.character :]
        return place, self._incremental.encode_short([rest + end for end in ends])

    def count(self, text: str) -> int:
        """Tokens of a text on its own."""
        return len(self._encode(self._text([Piece(text, is_data=True)])).ids)

    def cut(self, text: str, max_tokens: int) -> str:
        """The longest start of `text` whose tokens are all among its first `max_tokens`.

        Characters stay whole, with their accents and joined emoji; white space at the cut is removed.
        """
        offsets = self._encode(self._text([Piece(text, is_data=True)])).offsets
        if len(offsets) <= max_tokens:
            return text
        end = offsets[max_tokens - 1][1] if max_tokens else 0
        # A character of several byte-level tokens has one span: it is kept only if its last token is.
        end = min([end, *(start for start, _ in offsets[max_tokens:])])
        while 0 < end < len(text) and _continues(text[end - 1], text[end]):
            end -= 1
        return text[:end].rstrip()

    def _encode(self, text: str) -> Encoding:
        return self._backend.encode(text, add_special_tokens=False)

    def _text(self, pieces: Iterable[Piece]) -> str:
        return "".join(
            piece.text.replace(_OPEN, _REPLACEMENT) if piece.is_data else self._private(piece.text) for piece in pieces
        )

    def _private(self, text: str) -> str:
        return text if self._special is None else self._special.sub(lambda match: self._names[match[0]], text)


def _continues(left: str, right: str) -> bool:
    """Whether a reader sees two code points as one character: marks, emoji joined by U+200D, skin tones."""
    joined = _JOINER in (left, right) or "\U0001f3fb" <= right <= "\U0001f3ff"
    return joined or unicodedata.category(right) in ("Mn", "Mc", "Me")


def _tokens_before(tokens: Tokens, position: int) -> int:
    """How many leading tokens end at or before a character position."""
    return next((i for i, end in enumerate(tokens.ends) if end > position), len(tokens.ends))


def _common_prefix(left: Sequence[int], right: Sequence[int], limit: int) -> int:
    for i in range(limit):
        if left[i] != right[i]:
            return i
    return limit


class _Renamed(NamedTuple):
    """A tokenizer, old name → private name of its special tokens, and its JSON form."""

    backend: Tokenizer
    names: dict[str, str]
    spec: dict[str, Any]


def _with_private_names(backend: Any) -> _Renamed:
    """A copy of a tokenizer whose special tokens have private names and the same ids."""
    spec = json.loads(backend.to_str())
    special = [token for token in spec["added_tokens"] if is_special(token["content"], token["special"])]
    names = {token["content"]: f"{_OPEN}{token['id']}{_CLOSE}" for token in special}
    ids = {token["content"]: token["id"] for token in spec["added_tokens"]}
    for token in spec["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = spec["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(text, text): number for text, number in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(text, text), score] for text, score in model["vocab"]]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    # The post-processor adds BOS/EOS and trims offsets: neither is wanted here.
    spec.update(post_processor=None, truncation=None, padding=None)
    copy = Tokenizer.from_str(json.dumps(spec))
    for old, new in names.items():
        if copy.token_to_id(new) != ids[old]:
            raise ModelError(f"the special token {old!r} can't be told apart from text in this tokenizer")
    return _Renamed(copy, names, spec)

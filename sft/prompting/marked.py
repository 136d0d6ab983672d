"""Token ids as text for people: special tokens by their names, and what is in the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

from sft.common_start import common_start
from sft.prompting.special_tokens import special_names

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class MarkedPiece(NamedTuple):
    """A stretch of a sequence: its text, whether that is the names of special tokens, and whether it is in the loss.

    `_asdict()` is its JSON form.
    """

    text: str
    special: bool
    in_loss: bool


def marked(ids: Sequence[int], in_loss: Sequence[bool], tokenizer: PreTrainedTokenizerBase) -> list[MarkedPiece]:
    """The whole sequence in as few pieces as there are changes of `special` or `in_loss`.

    ids, in_loss: [tokens]. Tokens are decoded together, so that a character of several tokens stays whole; one that
    begins on one side of such a change and ends on the other belongs to the later piece.
    """
    names = special_names(tokenizer)
    decode = _decoder_inside_texts(tokenizer)
    pieces: list[MarkedPiece] = []
    tokens = zip(ids, map(bool, in_loss), strict=True)
    for special, stretch in groupby(tokens, key=lambda token: token[0] in names):
        runs = [(mask, [token for token, _ in run]) for mask, run in groupby(stretch, key=lambda token: token[1])]
        of_runs = [run for _, run in runs]
        if special:
            texts = ["".join(names[token] for token in run) for run in of_runs]
        else:
            texts = _texts(of_runs, decode if pieces else _decoder(tokenizer))
        pieces += [MarkedPiece(text, special, mask) for (mask, _), text in zip(runs, texts, strict=True) if text]
    return pieces


_Decode = Callable[[Sequence[int]], str]


def _decoder(tokenizer: PreTrainedTokenizerBase) -> _Decode:
    return lambda ids: str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))


def _decoder_inside_texts(tokenizer: PreTrainedTokenizerBase) -> _Decode:
    """Keeps the space that some decoders drop from a text's first word."""
    decode = _decoder(tokenizer)
    before = tokenizer("x", add_special_tokens=False)["input_ids"][-1:]
    length = len(decode(before))
    return lambda ids: decode([*before, *ids])[length:]


def _texts(runs: Sequence[Sequence[int]], decode: _Decode) -> list[str]:
    """The text of each run of tokens, cut out of the text of all of them."""
    ids = [token for run in runs for token in run]
    whole = decode(ids)
    # The bytes of an unfinished character are decoded to other characters than the whole text has there.
    ends = [common_start(decode(ids[:n]), whole) for n in accumulate(map(len, runs))]
    return [whole[start:end] for start, end in pairwise([0, *ends])]

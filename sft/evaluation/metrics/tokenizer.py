"""Words for metrics whose own tokenizer fails in a language: those of a Hugging Face tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sft.errors import ModelError


@lru_cache(maxsize=2)
def load_tokenize(tokenizer_name: str) -> Callable[[str], list[str]]:
    """A function from text to tokens (no special ones) by the tokenizer of that name: a local folder or a hub id.

    Texts are split at white space first: byte-level tokenizers write a word differently at the start of a text
    ("Paris", but "in", "ĠParis"), and the same word should be the same token in both places. Raises ModelError where
    the tokenizer can't be loaded.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_name, trust_remote_code=False)
    except Exception as error:  # what a broken folder raises depends on the tokenizer's class
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"evaluation.tokenizer_name: can't load a tokenizer from {tokenizer_name!r}: {first_line}",
            "name a folder with a tokenizer.json, or a hub id that is cached or can be reached from here",
        ) from error

    def tokenize(text: str) -> list[str]:
        return [token for word in text.split() for token in tokenizer.tokenize(word)]

    return tokenize

"""The form in which SQuAD's metrics compare answers."""

from __future__ import annotations

import re
import string
import unicodedata

_ARTICLES = re.compile(r"\b(a|an|the)\b")


def squad_words(text: str) -> list[str]:
    """The words of an answer without what SQuAD's evaluation ignores: case, punctuation, English articles, white space.

    For ASCII text it equals the official script (Rajpurkar et al. 2016). That script knows ASCII punctuation only; here
    Unicode's (categories P*) goes too, so that "¿qué?" or Arabic's "؟" don't decide. Articles of other languages stay,
    and their words that look like English ones ("a" in Spanish) go, in references and predictions alike. Words are
    split at white space: in scripts that write none, a text is one word.
    """
    without_punctuation = "".join(character for character in text.lower() if not _is_punctuation(character))
    return _ARTICLES.sub(" ", without_punctuation).split()


def _is_punctuation(character: str) -> bool:
    """Unicode punctuation, and the symbols ($+<=>^`|~) that the official script removes as well."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")

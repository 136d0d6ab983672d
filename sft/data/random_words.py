"""Inputs of random words of the task: they look like its texts and mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sft.data.example import Example

ROWS_READ = 10_000
_STREAM = 4  # beside those of `sampling`


class _Words(NamedTuple):
    """The words of one column, with repetitions, and how many of them a text has on average."""

    words: list[str]
    length: int


def random_word_inputs(train: Sequence[Example], columns: Sequence[str], count: int, seed: int) -> list[dict[str, str]]:
    """`count` inputs, each column with as many words as its texts have on average (rounded, at least one).

    train: rows of the training split, whose labels aren't used; of more than `ROWS_READ`, a random choice of so many.
    Words are what stands between white space, drawn with replacement, common ones more often; a column of a language
    without spaces gives whole texts. A column without any word stays empty. The first inputs are the same for every
    `count` under one seed.
    """
    if count == 0:
        return []
    generator = np.random.default_rng([seed, _STREAM])
    rows = [train[i] for i in generator.permutation(len(train))[:ROWS_READ]]
    vocabulary = {column: _words([row.inputs[column] for row in rows]) for column in columns}
    return [{column: _draw(vocabulary[column], generator) for column in columns} for _ in range(count)]


def _words(texts: Sequence[str]) -> _Words:
    words = [word for text in texts for word in text.split()]
    return _Words(words, max(1, round(len(words) / max(1, len(texts)))))


def _draw(words: _Words, generator: np.random.Generator) -> str:
    if not words.words:
        return ""
    return " ".join(words.words[i] for i in generator.integers(len(words.words), size=words.length))

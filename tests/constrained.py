"""Constrained decoding without a model: random scores stand for one that never ends an answer by itself."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from sft.inference.constrained.constraint import CompiledConstraint
from sft.inference.constrained.vocabulary import Vocabulary
from tests.fakes import byte_tokenizer

PROMPT_LENGTH = 3
# More logits than tokens, as models have.
PADDING = 5


@cache
def byte_vocabulary() -> Vocabulary:
    tokenizer = byte_tokenizer()
    return Vocabulary(tokenizer, len(tokenizer) + PADDING, tokenizer.eos_token_id)


def random_texts(
    constraint: CompiledConstraint,
    tokenizer: Any,
    max_new_tokens: int,
    *,
    rows: int = 4,
    seed: int = 0,
    unlikely_end: float = 5.0,
) -> list[str]:
    """Texts of the likeliest tokens under random scores, as `generate` would go on."""
    vocabulary, generator = constraint.vocabulary, torch.Generator().manual_seed(seed)
    processor = constraint.processor(rows, max_new_tokens)
    ids, over = torch.zeros(rows, PROMPT_LENGTH, dtype=torch.long), torch.zeros(rows, dtype=torch.bool)
    for _ in range(max_new_tokens):
        scores = torch.randn(rows, vocabulary.size, generator=generator)
        scores[:, vocabulary.end] -= unlikely_end
        tokens = processor(ids, scores).argmax(dim=-1)
        tokens[over] = 0  # padding
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        over |= tokens == vocabulary.end
        if over.all():
            break
    return [tokenizer.decode(answer_of(row, vocabulary.end), skip_special_tokens=True) for row in ids]


def answer_of(row: Tensor, end: int) -> list[int]:
    new: list[int] = row[PROMPT_LENGTH:].tolist()
    return new[: new.index(end)] if end in new else new


def possible(constraint: CompiledConstraint, text: str, max_new_tokens: int) -> set[int]:
    """The tokens that may come after a text (one token per byte), for a model that likes all the same."""
    tokenizer = byte_tokenizer()
    processor = constraint.processor(1, max_new_tokens)
    ids = torch.zeros(1, PROMPT_LENGTH, dtype=torch.long)
    for token in [*tokenizer(text)["input_ids"], None]:
        scores = processor(ids, torch.zeros(1, constraint.vocabulary.size))
        if token is not None:
            assert scores[0, token] > -torch.inf, "the text isn't possible itself"
            ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    return set((scores[0] > -torch.inf).nonzero()[:, 0].tolist())

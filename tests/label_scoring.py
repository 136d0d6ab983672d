"""Label scores by their definition, and prompts and labels that cover the cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sft.inference.label_tree import LabelTree
from sft.inference.shared_prefixes import ScoringRow, scoring_row
from sft.prompting.build import LabelPrompt
from tests.tiny_models import random_ids

# Labels of 1 to 6 tokens; the second begins with the first, the fourth with the third.
LABELS = [[7], [7, 8], [40, 41, 42], [40, 41, 42, 43, 44, 45], [200, 7, 7, 7]]
PROMPT_LENGTHS = (1, 2, 5, 9, 14, 23, 30)


def prompts_of(
    lengths: Sequence[int] = PROMPT_LENGTHS,
    labels: list[list[int]] = LABELS,
    *,
    prefix: int = 0,
    stem: int = 0,
) -> list[LabelPrompt]:
    """Prompts of random tokens. prefix: tokens before all of them. stem: tokens that every second one has after it."""
    common, middle = random_ids([prefix, stem], seed=5)
    return [
        LabelPrompt(common + (middle if i % 2 else []) + tail, labels) for i, tail in enumerate(random_ids(lengths))
    ]


@torch.no_grad()
def brute_force(model: Any, prompts: Sequence[LabelPrompt], end_id: int | None) -> np.ndarray:
    """S(y|x) by the definition: one row and label at a time, no padding, all logits, float64 after the model."""
    scores = np.zeros((len(prompts), len(prompts[0].labels)))
    for row, prompt in enumerate(prompts):
        for column, label in enumerate(prompt.labels):
            target = label if end_id is None else [*label, end_id]
            ids = torch.tensor([[*prompt.prompt, *target]], device=model.device)
            logits = model(input_ids=ids, use_cache=False).logits[0].double()
            for position, token in enumerate(target, start=len(prompt.prompt)):
                at = logits[position - 1]
                scores[row, column] += (at[token] - at.logsumexp(dim=0)).item()
    return scores


def rows_of(prompts: Sequence[Sequence[int]], tree: LabelTree) -> list[ScoringRow]:
    """As engines are given them, each with its place among the prompts."""
    return [scoring_row(np.array(ids, dtype=np.int64), tree)._replace(place=place) for place, ids in enumerate(prompts)]

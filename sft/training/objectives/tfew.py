"""The three losses of T-Few (Liu et al. 2022, arXiv 2205.05638, section 3.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from sft.training.objectives.base import LabelTokens, Objective, objective_registry

if TYPE_CHECKING:
    from torch import Tensor

Weight = Annotated[float, Field(ge=0)]

# A probability nearer to 1 counts as this near, and isn't pushed down any further: float32 holds no more of 1 - p.
_NEAREST_TO_ONE = 1e-6


@objective_registry.register("tfew")
class TFew(Objective):
    """`L_LM + L_UL + L_LN` of every row, each times its weight.

    language_model: of L_LM, the mean negative log-probability of the answer's tokens (its end-of-turn included).
    unlikelihood: of L_UL, the mean of -log(1 - p) over all tokens of all wrong labels. length_normalized: of L_LN,
    the cross-entropy over the labels of their mean log-probabilities per token, which is what inference scores with
    `score_normalization: tokens`. The tokens of L_UL and L_LN are those that inference scores; as there, an end-of-turn
    among them is in a label's sum and not in its length. (The paper's counts T5's end of sequence in both.)
    """

    reads_answer: ClassVar[bool] = True

    def __init__(
        self, *, language_model: Weight = 1.0, unlikelihood: Weight = 1.0, length_normalized: Weight = 1.0
    ) -> None:
        if not language_model + unlikelihood + length_normalized > 0:
            raise ValueError("all weights are 0: nothing would be learnt")
        self._weights = (language_model, unlikelihood, length_normalized)

    def losses(self, scored: LabelTokens) -> Tensor:
        parts = (language_model_losses(scored), unlikelihood_losses(scored), length_normalized_losses(scored))
        weighted = [weight * part for weight, part in zip(self._weights, parts, strict=True) if weight]
        return sum(weighted[1:], start=weighted[0])


def language_model_losses(scored: LabelTokens) -> Tensor:
    """[B]: L_LM."""
    assert scored.answer is not None
    return -scored.answer


def unlikelihood_losses(scored: LabelTokens) -> Tensor:
    """[B]: L_UL. A task of one label has no wrong one, and a loss of 0."""
    import torch

    wrong = scored.scored.clone()
    wrong[torch.arange(len(wrong), device=wrong.device), scored.right] = False
    # log(1 - e^x), each branch where it keeps its digits (Mächler 2012), and at x = -1 where there is no token.
    x = scored.log_probs.masked_fill(~wrong, -1.0).clamp(max=-_NEAREST_TO_ONE)
    is_near_one = x > -math.log(2)
    log_complement = torch.where(
        is_near_one,
        torch.log(-torch.expm1(x.masked_fill(~is_near_one, -0.5))),
        torch.log1p(-torch.exp(x.masked_fill(is_near_one, -1.0))),
    )
    total = -log_complement.masked_fill(~wrong, 0.0).sum(dim=(1, 2))
    return total / wrong.sum(dim=(1, 2)).clamp(min=1)


def length_normalized_losses(scored: LabelTokens) -> Tensor:
    """[B]: L_LN."""
    means = (scored.scores / scored.token_counts).log_softmax(dim=-1)
    return -means.gather(1, scored.right[:, None])[:, 0]

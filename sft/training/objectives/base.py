"""What an objective is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sft.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LabelTokens:
    """What the model says of all labels of a batch's rows, by token. Only log-probabilities have gradients.

    log_probs: float32 [B, L, W], log p(token | what precedes it) of a label's tokens, and of the end-of-turn where one
    is scored after labels; 0 where a label is shorter. scored: [B, L, W], where there is a token. token_counts: [B, L],
    of each label without the end-of-turn. right: [B], the index of the right label. texts: of the labels, [L]. answer:
    [B], the mean log-probability of the tokens of the right label and of the end-of-turn after it; None for objectives
    that don't ask for it.
    """

    log_probs: Tensor
    scored: Tensor
    token_counts: Tensor
    right: Tensor
    texts: tuple[str, ...]
    answer: Tensor | None

    @property
    def scores(self) -> Tensor:
        """[B, L]: `S(y|x)`, by which inference chooses a label."""
        return self.log_probs.sum(dim=-1)


class Objective:
    """Made with the keyword arguments of `training.objective.args`: each annotated and with a default. Arguments that
    don't go together raise `ValueError`.

    reads_labels: whether it looks at all labels of a row; an objective that doesn't is left to the trainer.
    reads_answer: whether it needs `LabelTokens.answer`.
    """

    reads_labels: ClassVar[bool] = True
    reads_answer: ClassVar[bool] = False

    def losses(self, scored: LabelTokens) -> Tensor:
        """[B], in nats. The loss of a step is their mean over the rows of all its batches."""
        raise NotImplementedError


objective_registry: Registry[type[Objective]] = Registry("training objective")

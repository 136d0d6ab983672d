"""Cross-entropy over the label set: the negative logarithm of the probability that inference gives the right label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sft.training.objectives.base import LabelTokens, Objective, objective_registry

if TYPE_CHECKING:
    from torch import Tensor


@objective_registry.register("label_cross_entropy")
class LabelCrossEntropy(Objective):
    """`-log softmax_y s(y|x)` of the right label, where `s` are the scores of inference without a calibration.

    normalization: as `inference.score_normalization`: `none` (the sum over a label's tokens and the end-of-turn where
    one is scored), or that divided by the label's `tokens`, `characters` or `bytes`.
    """

    def __init__(self, *, normalization: Literal["none", "tokens", "characters", "bytes"] = "none") -> None:
        self._normalization = normalization

    def losses(self, scored: LabelTokens) -> Tensor:
        log_probs = (scored.scores / self._lengths(scored)).log_softmax(dim=-1)
        return -log_probs.gather(1, scored.right[:, None])[:, 0]

    def _lengths(self, scored: LabelTokens) -> Tensor:
        """[B, L] or [L], as the normalisations of inference count them."""
        if self._normalization == "tokens":
            return scored.token_counts
        texts = [text.strip() for text in scored.texts]
        lengths = {
            "none": [1] * len(texts),
            "characters": [len(text) for text in texts],
            "bytes": [len(text.encode()) for text in texts],
        }
        return scored.token_counts.new_tensor(lengths[self._normalization])

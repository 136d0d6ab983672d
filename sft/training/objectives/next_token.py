"""The cross-entropy of the answer's tokens, its end-of-turn included: the trainer's own loss."""

from __future__ import annotations

from typing import ClassVar

from sft.config.schema import NEXT_TOKEN
from sft.training.objectives.base import Objective, objective_registry


@objective_registry.register(NEXT_TOKEN)
class NextToken(Objective):
    """Mean over the tokens of all answers of a step. It knows of the right answer only."""

    reads_labels: ClassVar[bool] = False

"""The trainable low-rank factors that an adapter has put at one layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class LowRankFactors:
    """The adapter adds `scaling · B A` to the weight `[out, in]` of `layer`.

    name: of `module`, the adapted layer, in the model. a: `[rank, in]`. b: `[out, rank]`. gate: `[rank, 1]`, between
    the two in methods that learn singular values (AdaLoRA), which start at zero: then the first output is the base's
    whatever `a` and `b` are.
    """

    name: str
    module: Any
    layer: nn.Module
    a: nn.Parameter
    b: nn.Parameter
    scaling: float
    gate: nn.Parameter | None = None

    @property
    def rank(self) -> int:
        return self.a.shape[0]

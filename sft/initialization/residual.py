"""What an initialisation with two non-zero factors takes off again, so that training starts at the base model.

PiSSA and its kin subtract `scaling · B0 A0` from the base weight. Here the same amount is subtracted from the layer's
output instead, by a frozen pair (A0, −B0) beside the trainable one. It is the same function, on quantised weights too,
where a weight can't take the difference; in 16 bits nothing is rounded into the base; and the base stays what others
know, so the trained adapter fits it (`AdapterMethod.fold`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from sft.initialization.factors import LowRankFactors


@dataclass
class Residual:
    """The frozen copy of one layer's first factors; active until `remove` is called."""

    factors: LowRankFactors
    a: Tensor
    b: Tensor
    handle: RemovableHandle | None = None

    @classmethod
    def of(cls, factors: LowRankFactors) -> Residual:
        """Freeze the factors as they are now, in the dtype that they have now, and subtract them from now on."""
        residual = cls(factors, factors.a.detach().clone(), factors.b.detach().clone())
        residual.handle = factors.layer.register_forward_hook(residual._subtract)
        return residual

    def remove(self) -> None:
        if self.handle is not None:
            self.handle.remove()
            self.handle = None

    def _subtract(self, layer: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        low = functional.linear(inputs[0].to(self.a.dtype), self.a)
        return (output - self.factors.scaling * functional.linear(low, self.b)).to(output.dtype)

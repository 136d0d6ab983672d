"""What an initializer is, and what it may ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sft.errors import SftError
from sft.initialization.utils import dequantize
from sft.registry import Registry

Factors = dict[str, Tensor]
COST = "seconds_per_million_weights"

Kind = Literal["inputs", "gradient", "original"]
MEASURED: tuple[Kind, ...] = ("inputs", "gradient", "original")
NEEDS = ("scaling", "seed", *MEASURED)
"""Keyword parameters that the caller fills in for an initializer that has them:

- scaling: the adapter's factor before `B A` (float)
- seed: of the run's training (int)
- inputs: what the layer reads on the training shots, `[tokens, in]`, float32
- gradient: of the training loss on the shots by the layer's weight, `[out, in]`, float32
- original: the weight `[out, in]` of a quantised layer before it was quantised
"""


Initializer = Callable[..., Factors]
"""`f(layer, rank, dtype=torch.bfloat16) -> {"lora_A": [rank, in], "lora_B": [out, rank]}` for a weight `[out, in]`.

Computes in float32, casts at the end, leaves the layer as it is, gives the same factors for the same arguments.
Further keyword parameters are either among `NEEDS`, or arguments that a config may give (`{"method": …, "args": {…}}`).
One named `residual`, where true, asks the caller to subtract what the factors add to the layer, so that training starts
at the base model.
"""

initializer_registry: Registry[Initializer] = Registry("initialisation")


class FromWeights:
    """An initializer that looks at nothing but weights, and at many of one shape at once.

    compute: `f(weights [layers, out, in] in float32, rank, **more) -> (A [layers, rank, in], B [layers, out, rank])`.
    """

    def __init__(self, name: str, compute: Callable[..., tuple[Tensor, Tensor]]) -> None:
        self.__name__ = name
        self.__doc__ = compute.__doc__
        self._compute = compute
        more = list(inspect.signature(compute, eval_str=True).parameters.values())[2:]
        plain = list(inspect.signature(self.__call__, eval_str=True).parameters.values())[:3]
        self.__signature__ = inspect.Signature([*plain, *more])

    def __call__(self, layer: nn.Module, rank: int, dtype: torch.dtype = torch.bfloat16, **more: Any) -> Factors:
        return self.batch([layer], rank, dtype, **more)[0]

    def batch(self, layers: Sequence[nn.Module], rank: int, dtype: torch.dtype, **more: Any) -> list[Factors]:
        """Factors of layers of one shape, on one device."""
        weights = torch.stack([dequantize(layer) for layer in layers])
        _, n_out, n_in = weights.shape
        check_rank(self.__name__, rank, n_out, n_in)
        with torch.no_grad():
            pairs = zip(*self._compute(weights, rank, **more), strict=True)
        return [as_factors(a, b, dtype) for a, b in pairs]


def from_weights(name: str) -> Callable[[Callable[..., tuple[Tensor, Tensor]]], Initializer]:
    """Register a function of weights, which is then called with all layers of a shape at once (see `FromWeights`)."""

    def register(compute: Callable[..., tuple[Tensor, Tensor]]) -> Initializer:
        initializer_registry[name] = entry = FromWeights(name, compute)
        return entry

    return register


def costly(seconds_per_million_weights: float) -> Callable[[Initializer], Initializer]:
    """Mark an initializer whose cost (on one CPU core) is to be said before it starts."""

    def mark(initializer: Initializer) -> Initializer:
        setattr(initializer, COST, seconds_per_million_weights)
        return initializer

    return mark


def check_rank(name: str, rank: int, n_out: int, n_in: int) -> None:
    """Raise `SftError` for more directions than the layer has."""
    if rank > min(n_out, n_in):
        raise SftError(
            f"{name}: rank {rank} is larger than a layer of {n_in} inputs and {n_out} outputs", "lower lora.r"
        )


def as_factors(a: Tensor, b: Tensor, dtype: torch.dtype) -> Factors:
    """Cast at the end, in memory of their own."""
    return {"lora_A": a.to(dtype, copy=True).contiguous(), "lora_B": b.to(dtype, copy=True).contiguous()}


def parameters_of(initializer: Initializer) -> dict[str, inspect.Parameter]:
    """The keyword parameters beside layer, rank and dtype."""
    parameters = inspect.signature(initializer).parameters
    return {name: parameter for name, parameter in list(parameters.items())[2:] if name != "dtype"}


def arguments_of(initializer: Initializer) -> dict[str, Any]:
    """The arguments that a config may give, with their annotations (`Any` where there is none)."""
    try:
        parameters = inspect.signature(initializer, eval_str=True).parameters
    except NameError:  # annotations that only a type checker resolves
        parameters = inspect.signature(initializer).parameters
    annotations = {name: parameters[name].annotation for name in parameters_of(initializer) if name not in NEEDS}
    unknown = inspect.Parameter.empty
    return {name: Any if hint is unknown or isinstance(hint, str) else hint for name, hint in annotations.items()}

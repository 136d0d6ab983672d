"""Putting an initializer's factors where an adapter has its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch

from sft.config.schema import MethodConfig
from sft.errors import SftError
from sft.initialization.factors import LowRankFactors
from sft.initialization.initializers.base import (
    COST,
    MEASURED,
    NEEDS,
    Factors,
    FromWeights,
    Initializer,
    Kind,
    initializer_registry,
    parameters_of,
)
from sft.initialization.measurements import Measurements
from sft.progress import progress_bar

logger = logging.getLogger(__name__)

_BYTES_AT_A_TIME = 2**30


class Initialized(NamedTuple):
    """What was done. has_residual: the first output isn't the base model's until the residual is taken off."""

    method: str
    args: dict[str, Any]
    layers: int
    measured_rows: int
    seconds: float
    has_residual: bool


def initialize(
    factors: Sequence[LowRankFactors],
    spec: MethodConfig,
    measurements: Measurements,
    seed: int,
    *,
    anywhere: bool = True,
) -> Initialized:
    """Overwrite the factors with those of the initializer that `spec` names.

    anywhere: whether the adapter can start with a product that isn't zero. Raises `SftError` for such a product where
    it can't, for an adapter without low-rank factors, and for an initializer that asks for what isn't there.
    """
    initializer = initializer_registry[spec.method]
    if not factors:
        raise SftError(f"initialisation {spec.method!r}: the adapter has no low-rank factors", "use lora or adalora")
    parameters = parameters_of(initializer)
    started = time.perf_counter()
    bar = progress_bar(len(factors), f"initialising adapters ({spec.method})")
    asked = [need for need in MEASURED if need in parameters]
    if len(asked) > 1:
        raise SftError(
            f"initialisation {spec.method!r} asks for {' and '.join(asked)}, and one of them is measured at a time",
            "take one of these parameters out of its signature",
        )
    measured = asked[0] if asked else None
    if measured in ("inputs", "gradient") and not measurements.rows:
        raise SftError(
            f"initialisation {spec.method!r} looks at the training shots, and there are none", "raise dataset.shots"
        )
    _announce(spec.method, initializer, factors)
    for one, made in _made(initializer, factors, spec.args, measurements, seed, measured):
        if not anywhere and bool(made["lora_B"].any()):
            raise SftError(
                f"initialisation {spec.method!r}: its factors start with a product that isn't zero, which this adapter "
                "(adalora, or lora with use_dora) can't take",
                "use one whose B starts at zero, e.g. pca or eva, or plain lora",
            )
        _put(one, made)
        bar.update()
    bar.close()
    residual = parameters.get("residual")
    has_residual = residual is not None and bool(spec.args.get("residual", residual.default))
    rows = len(measurements.rows) if measured in ("inputs", "gradient") else 0
    return Initialized(spec.method, spec.args, len(factors), rows, time.perf_counter() - started, has_residual)


def _announce(name: str, initializer: Initializer, factors: Sequence[LowRankFactors]) -> None:
    cost = getattr(initializer, COST, None)
    if cost is not None:
        seconds = cost * sum(one.b.shape[0] * one.a.shape[1] for one in factors) / 1e6
        logger.warning("initialisation %s: about %.0f s for %d layers on one core", name, seconds, len(factors))


def _made(
    initializer: Initializer,
    factors: Sequence[LowRankFactors],
    args: Mapping[str, Any],
    measurements: Measurements,
    seed: int,
    measured: Kind | None,
) -> Iterator[tuple[LowRankFactors, Factors]]:
    asked = parameters_of(initializer)

    def given(one: LowRankFactors, **measurement: Any) -> dict[str, Any]:
        needs = {"scaling": one.scaling, "seed": seed, **measurement}
        return {**args, **{name: needs[name] for name in NEEDS if name in asked}}

    if measured is not None:
        for one, measurement in measurements.of(factors, measured):
            yield one, initializer(one.layer, one.rank, dtype=one.a.dtype, **given(one, **{measured: measurement}))
    elif isinstance(initializer, FromWeights):
        for group in _alike(factors):
            first = group[0]
            made = initializer.batch([one.layer for one in group], first.rank, first.a.dtype, **given(first))
            yield from zip(group, made, strict=True)
    else:
        for one in factors:
            yield one, initializer(one.layer, one.rank, dtype=one.a.dtype, **given(one))


def _alike(factors: Sequence[LowRankFactors]) -> Iterator[list[LowRankFactors]]:
    """Groups of one shape, rank, scaling, dtype and device, of at most a GiB of weights in float32."""

    def key(one: LowRankFactors) -> tuple[Any, ...]:
        return (one.b.shape[0], one.a.shape[1], one.rank, one.scaling, str(one.a.dtype), str(one.a.device))

    for (n_out, n_in, *_), same in groupby(sorted(factors, key=key), key):
        group = list(same)
        size = max(1, _BYTES_AT_A_TIME // (4 * n_out * n_in))
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _put(one: LowRankFactors, made: Factors) -> None:
    a, b = made["lora_A"], made["lora_B"]
    if a.shape != one.a.shape or b.shape != one.b.shape:
        raise SftError(
            f"the initializer gave factors of shapes {tuple(a.shape)} and {tuple(b.shape)} for {one.name}",
            f"give lora_A {tuple(one.a.shape)} and lora_B {tuple(one.b.shape)}",
        )
    with torch.no_grad():
        one.a.copy_(a)
        if one.gate is None:  # a gate is zero at first, and with b at zero too nothing would ever learn
            one.b.copy_(b)

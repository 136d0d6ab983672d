"""The model: that its config and tokenizer can be read, how large it is, and whether its weights fit."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok, warn
from sft.models.load import max_positions
from sft.models.quantized import parameter_count
from sft.sizes import memory_size

_SLOW_ON_CPU = 1_000_000_000


@check_registry.register("model")
def model(case: Case) -> Iterator[Finding]:
    tokenizer, source = case.tokenizer, case.source
    for line in case.said["model"]:
        yield warn(line, "name the model that is meant in model.name or --checkpoint")
    base, positions = case.bare, max_positions(case.architecture)
    parameters = parameter_count(base)
    yield ok(
        f"{source.base}: {type(base).__name__}, {parameters:,} parameters, {len(tokenizer):,} tokens",
        parameters=parameters,
        positions=positions,
        trained=None if source.trained is None else str(source.trained),
    )
    if parameters > _SLOW_ON_CPU and case.gpu_bytes is None:
        yield warn(
            f"there is no GPU here, and {parameters / 1e9:.1f} billion parameters are slow without one",
            "run it on a machine with a GPU (--gpu-memory GIB examines for one), or take a smaller model",
        )
    yield from _weights(case, sum(p.numel() * p.element_size() for p in base.parameters()))


def _weights(case: Case, needed: int) -> Iterator[Finding]:
    """Whether the weights alone fit. Quantised ones are smaller by what isn't known here."""
    quantised = case.config.model.quantization or getattr(case.architecture, "quantization_config", None)
    spread = case.config.model.model_args.get("parallelize") or "device_map" in case.config.model.model_args
    if case.gpu_bytes is None or quantised or spread:
        return
    dtype = str(case.bare.dtype).removeprefix("torch.")
    if needed > case.gpu_bytes:
        yield warn(
            f"the weights take {memory_size(needed)} in {dtype}, and the GPU has {memory_size(case.gpu_bytes)}",
            "set model.quantization, or model.model_args.parallelize for several GPUs",
            weight_bytes=needed,
        )
    if case.bare.dtype == torch.bfloat16 and torch.cuda.is_available():
        yield from _bfloat16()


def _bfloat16() -> Iterator[Finding]:
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        yield warn(
            "the weights are in bfloat16, in which this GPU doesn't compute",
            'set model.model_args.dtype to "float16" or "float32"',
        )

"""The longest batch of the training, the memory that it takes, and the time of the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sft.doctor.case import Case
from sft.doctor.checks.base import check_registry
from sft.doctor.finding import Finding, ok, skipped, warn
from sft.errors import TrainingError
from sft.sizes import duration, memory_size
from sft.training.estimate import estimate_training
from sft.training.fast.fit import most_tokens
from sft.training.fast.gpus import gpu_registry
from sft.training.objectives import objective_registry


@check_registry.register("memory")
def memory(case: Case) -> Iterator[Finding]:
    if not case.trains:
        return
    lengths, batch = case.training_stage.lengths, case.trainer.per_device_train_batch_size
    tokens = most_tokens(lengths, min(batch, len(lengths)))
    yield ok(f"the longest batch: {min(batch, len(lengths))} sequences, about {tokens} tokens", tokens=tokens)
    reason = _why_not(case)
    if reason is not None:
        yield skipped(f"the memory of the training isn't estimated: {reason}")
        return
    try:
        yield from _estimated(case)
    except TrainingError as error:
        yield skipped(error.message)


def _why_not(case: Case) -> str | None:
    training = case.config.training
    if training is not None and objective_registry[training.objective.method].reads_labels:
        return f"the objective {training.objective.method!r} reads labels in batches of its own"
    if case.foreseen.why_padded is not None:
        return f"batches are padded ({case.foreseen.why_padded})"
    return "there is no GPU here (--gpu NAME or --gpu-memory GIB estimates for one)" if case.gpu_bytes is None else None


def _estimated(case: Case) -> Iterator[Finding]:
    assert case.gpu_bytes is not None
    estimate = estimate_training(
        case.config,
        case.training_rows,
        steps=case.training_length.steps,
        gpu_bytes=case.gpu_bytes,
        speed=case.gpu_speed,
    )
    fit = estimate.fit
    how = f"in {fit.parts} parts" if fit.parts > 1 else "whole"
    how += ", with layers computed again in the backward pass" if fit.checkpointing else ""
    details: dict[str, Any] = {"bytes": fit.memory.total, "gpu_bytes": case.gpu_bytes, "parts": fit.parts}
    if estimate.fits:
        text = f"a step takes about {memory_size(fit.memory.total)} of {memory_size(case.gpu_bytes)}, its batch {how}"
        yield ok(text, **details, checkpointing=fit.checkpointing)
        yield _time(case, estimate.seconds)
        return
    yield warn(
        f"a step takes about {memory_size(fit.memory.total)}, and the GPU has {memory_size(case.gpu_bytes)}",
        "set model.quantization, shorten prompts, or take a smaller model",
        **details,
    )


def _time(case: Case, seconds: float | None) -> Finding:
    if seconds is None or case.gpu_speed is None:
        return skipped(f"the time of the training isn't estimated: name the GPU (--gpu {', '.join(gpu_registry)})")
    source = "" if case.gpu_speed.measured else ", by the GPU's data sheet"
    return ok(f"the steps of the training take about {duration(seconds)}{source}", seconds=round(seconds, 1))

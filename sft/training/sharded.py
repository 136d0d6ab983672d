"""Weights that FSDP2 spreads over processes: refused where they'd have to be scored with, made whole to be saved."""

from __future__ import annotations

import os
from typing import Any

import torch

from sft.errors import TrainingError


def is_sharded() -> bool:
    """Whether `accelerate launch` was told to use FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def refuse_sharded(what: str) -> None:
    """Raise `TrainingError` under FSDP, for what needs the whole trained model."""
    if is_sharded():
        raise TrainingError(
            f"{what} needs the whole trained model in every process, and FSDP leaves a part in each",
            "use `train`, and then `evaluate --checkpoint` without FSDP; or launch without FSDP",
        )


def make_whole(model: Any) -> None:
    """Replace the parts of trained parameters by the whole, in every process. The model can be saved then, and no more.

    All processes take part. Parameters that weren't trained stay as they are.
    """
    from torch.distributed.tensor import DTensor

    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, DTensor) and parameter.requires_grad:
                whole = parameter.full_tensor()
                setattr(module, name, torch.nn.Parameter(whole.detach()))

"""The readable part of a run's folder name."""

from __future__ import annotations

import re

from sft.config.names import dataset_name, model_name
from sft.config.schema import ExperimentConfig


def slug(config: ExperimentConfig) -> str:
    """Data set, model, shots, in-context counts of training and inference, seed."""
    shots = "all" if config.dataset.shots is None else config.dataset.shots
    training = config.training.icl_examples if config.training else 0
    inference = config.inference_or_default.icl_examples
    names = (_safe(dataset_name(config)), _safe(model_name(config)))
    return "-".join([*names, f"shots{shots}", f"icl{training}-{inference}", f"seed{config.seed}"])


def _safe(text: str) -> str:
    # No leading "." (a hidden folder) or "-" (an option, to a shell).
    return re.sub(r"[^\w.-]+", "_", text)[:60].lstrip(".-") or "_"
